# The texts of the built-in pages. A text-<number> is one that Ory's clients know by its number; texts that share one are its attributes.
# What stands in braces is filled in.

## On every page

signed-in-as = Signed in as { $account }
back-to = Back to { $application }
cancel = Cancel
or = or

## Confirming

login-title = Confirm it’s you
login-other-ways = Confirm in another way
trust-hours = Do not ask on this device for { $number ->
    [one] { $number } hour
   *[other] { $number } hours
}
trust-days = Do not ask on this device for { $number ->
    [one] { $number } day
   *[other] { $number } days
}
trigger-failed = Your browser used no security key: it was cancelled, it took too long, or this key does not fit. Please try again.
trigger-needs-javascript = A security key needs JavaScript. Please allow it for this page.
trigger-needs-javascript-or-another-way = A security key needs JavaScript. Please allow it for this page or use another way.
totp-hint = Six digits, for example 123 456
code-hint = The code from the message
lookup-secret-hint = A code of your list, with or without dashes

## Second factors

settings-title = Second factors
group-totp = Authenticator app
group-lookup-secret = Recovery codes
group-webauthn = Security key
group-code = Codes by message
group-password = Password
group-oidc = Other accounts
lookup-secrets-left = { $left } of your { $of } recovery codes are left.
lookup-secrets-none = You have no recovery codes yet. Create some now: with them you get in when your phone is lost.
lookup-secrets-replace = Replace the codes
addresses-advice = Add an address, and you can confirm that it is you with a code that is sent there.
addresses-mail = Mail address
addresses-number = Phone number, with the country code
addresses-mail-or-number = Mail address, or phone number with the country code
addresses-send = Send a code there
addresses-sent-to = Please type the code that was sent to { $address }.
addresses-confirm = Confirm
addresses-remove = Remove this address
addresses-of-account = This is an address of your account at { $application }. You can change it there.
addresses-unreadable = An address that cannot be read
devices-title = Devices on which you are not asked
devices-advice = If you do not know one of these, forget it, and change your password.
devices-this = This device
devices-since = Since { $since }
devices-with = With
devices-from-when = Since
devices-last-used = Last used
devices-until = Until
devices-forget = Forget this device
devices-forget-all = Forget all devices

## Sessions

sessions-title = Where you are signed in
sessions-advice = If you do not know one of these, end it, and change your password.
sessions-hosted-advice = Here you have confirmed that it is you. Ending one takes the confirmation away; the sign-in itself goes on. If you do not know one of these, end it, and change your password.
sessions-this = This session
sessions-signed-in-at = Signed in { $since }
sessions-confirmed-at = Confirmed { $since }
sessions-signed-in = Signed in
sessions-first-confirmed = First confirmed
sessions-with = With
sessions-from = From
sessions-last-confirmed = Last confirmed
sessions-by = By
sessions-ends = Ends
sessions-sign-out = Sign out
sessions-end = End this session
sessions-end-hosted = End what was confirmed
sessions-end-others = End all other sessions
sessions-end-others-hosted = End all others
method-password = password
method-totp = authenticator app
method-lookup-secret = recovery code
method-webauthn = security key
method-code = code by message
method-oidc = another account
method-other = another way

## On the way back

continue-title = Continue
continue-heading = One moment
continue-text = You are on your way back to the page that you wanted.

## Errors

error-title = That did not work
error-unauthorized = Please sign in
error-not-found = Not found
error-unavailable = Temporarily unavailable
error-begin-again = Begin again
error-sign-in = Sign in
error-try-again = Try again
failure-no-session = Please sign in first.
failure-first-factor-required = Please sign in first, then confirm with your second factor.
failure-already-available = You are already signed in. To confirm again, add refresh=true.
failure-still-signed-in = You are still signed in from before. Please sign out, and then sign in again.
failure-forbidden-return-to = This application does not allow the address in return_to.
failure-unknown-aal = The parameter aal must be aal1 or aal2.
failure-unknown-methods = The parameter methods must be a list of known methods, separated by commas.
failure-repeated-parameter = Please give each parameter only once.
failure-login-challenge = This application does not support OAuth2 logins.
failure-tokenize-as = This application does not turn sessions into other tokens.
failure-flow-disabled = Please sign in on the application's own login page.
failure-bad-flow-query = The parameter flow must be the id of a flow.
failure-unknown-flow = This form does not exist any more. Please open it again.
failure-unknown-schema = There is no schema with this id.
failure-unknown-error = There is no error with this id. Please go back and try again.
failure-csrf = This form was not opened in this browser. Please open it again.
failure-identity-mismatch = This form belongs to another session. Please open it again.
failure-body-too-large = The form is too large. Please send less.
failure-body-too-late = The form took too long to arrive. Please send it again.
failure-wrong-http-method = This address does not support this HTTP method.
failure-bad-body = The body must be a JSON object.
failure-missing-logout-token = Please use the logout_url from /self-service/logout/browser.
failure-wrong-logout-token = This logout link belongs to another session. Please log out again.
failure-wrong-session-token = The body must have the session_token of your session.
failure-bad-page = Page parameters must be whole numbers.
failure-bad-session-id = The path must end in the id of a session.
failure-own-session = To end your own session, please log out.
failure-unavailable = Please try again in a moment.

## What is wrong with a form

reason-form-unreadable = The form could not be read. Please send it again.
reason-form-repeats = The form has a field twice, with different values. Please send each field once.
reason-form-empty = The form was empty. Please fill it in.
reason-form-not-utf-8 = Please send the form in UTF-8.
reason-form-media-type = Please send the form as JSON, URL-encoded or multipart.
reason-form-field-types = The fields method and csrf_token must be texts. Please send them as the form has them.
reason-browser-in-api-flow = A program opened this form, so a browser cannot send it. Please open it in this browser.
reason-signed-in-already = You are already signed in. Please begin again.
reason-confirmed-already = You have already confirmed this. Please go on.
reason-sent-twice = You sent this form twice at once, and only one counted. This is the result.
reason-registered-already = This is registered already. Please use another one.
reason-changed-elsewhere = Your settings were changed elsewhere in the meantime. Please check them and try again.
reason-removed-already = This was removed already. Please look again.
reason-no-totp = You have no authenticator app to remove.
reason-has-totp = You already have an authenticator app. Please remove it before you add another.
reason-no-new-lookup-secrets = Please make new codes first, then confirm them.
reason-no-lookup-secrets = You have no recovery codes yet.
reason-no-lookup-choice = Please choose what to do with your codes.
reason-code-used-up = This code was tried too often, and does not count any more. Please begin again with a new code.
reason-code-not-sent = The code could not be sent. Please try again in a moment, or confirm in another way.
reason-code-perhaps-sent = The code may not have been sent. If none arrives, please ask for a new one.
reason-address-no-mail = This is no mail address. Please type one as in kim@example.com.
reason-address-no-number = This is no phone number. Please type one that begins with + and the country code.
reason-address-neither = This is neither a mail address nor a phone number. A number begins with + and the country code.
reason-address-taken = You have this address already. Please add another one.
reason-addresses-full = You cannot add another address. Please remove one first.
reason-address-signed-in-with = You have signed in by a message, so this address would prove nothing more. Please add another one, or another second factor.
reason-address-gone = No address waits for a code any more. Please add it again.
reason-address-not-sent = The code could not be sent. Please try again in a moment.
advice-totp-clock = Please also check that your phone sets its time by itself.

## Labels and messages of flows

text-1010001 = Confirm
text-1010003 = For your security, please confirm again before you continue.
text-1010004 = One more step: confirm with your second factor.
text-1010006 = Code from your authenticator app
text-1010007 = One of your recovery codes
text-1010009 = Confirm
text-1010010 = Confirm with a recovery code
text-1010022 = Sign in
text-1010023 = Send a code to { $address }
    .untold = Send a code
text-1010025 = A code is on its way to you. Please type it here when it arrives.
text-1050001 = Your change was saved.
text-1050004 = Remove the authenticator app
text-1050005 = Scan this with your authenticator app
text-1050007 = Show which recovery codes are used
text-1050008 = Create new recovery codes
text-1050009 = Code { $number }: not used
text-1050010 = Your recovery codes. Save them somewhere safe now. You will not see them again, and each works once.
    .hidden = Your recovery codes. The codes themselves cannot be shown again.
text-1050011 = I have saved these codes
text-1050014 = Code { $number }: used on { $used_at }
text-1050016 = Turn off recovery codes
text-1050017 = Or enter this key in the app
text-1070001 = Password
text-1070003 = Save
text-1070004 = Username or email address
text-1070006 = Current code from the app
text-1070008 = Send a new code
text-1070009 = Continue
text-1070013 = Code from the message
text-1990001 = You need a second factor to continue. Please set one up first.
text-1990002 = You cannot use any of your second factors right now. Please contact support.
text-1990003 = Your recovery codes were removed too: they work only beside another second factor.
text-1990005 = { $left } of your { $of } recovery codes are left. They cannot be shown again, because only you have them. If you have lost them, create new ones.
text-1990006 = Begin again
text-4000002 = Please fill in this field.
text-4000003 = A code has { $min_length } digits. Please type all of them.
text-4000006 = These details are wrong. Please check them and try again.
text-4000008 = This code is wrong. Please type the code that your app shows now.
    .no-code = This cannot be a code. Please type the six digits that your app shows, and nothing else.
    .used = This code cannot be used any more. Please wait for the next one.
    .too-old = This code is too old. Please type the one that your app shows now. If you did, the clock of your phone may be slow.
text-4000011 = You have no authenticator app set up. Please confirm another way.
text-4000012 = This recovery code was already used. Please use another one.
text-4000014 = You have no recovery codes. Please confirm another way.
text-4000016 = This is not one of your recovery codes. Please type one as it stands on your list: its letters and digits.
text-4000035 = This is none of your addresses for codes. Please choose another way.
text-4010001 = This form has expired. Please try again.
text-4010002 = Please choose one of the options on this page.
text-4010004 = Please choose one of the changes on this page.
text-4010007 = This form was already used. Please start again.
text-4010008 = This code is wrong or has expired. Please type the newest one that you got.
text-4010011 = This account is disabled. Please contact support.
text-4050001 = This form has expired. Please try again.
text-4990001 = Too many attempts. Please try again in { $retry_after } seconds.
    .flow = Too many attempts with this form. Please begin again with a new one.
