//! What is wrong, where a text has no number of its own: the reasons of 4000001.

/// Names the texts, and lists them all.
macro_rules! reasons {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: &str = $text;)*

        /// All of them.
        #[cfg(test)]
        pub(crate) const ALL: &[&str] = &[$($text),*];
    };
}

reasons! {
    FORM_UNREADABLE = "The form could not be read. Please send it again.";
    FORM_REPEATS = "The form has a field twice, with different values. Please send each field once.";
    FORM_EMPTY = "The form was empty. Please fill it in.";
    FORM_NOT_UTF_8 = "Please send the form in UTF-8.";
    FORM_MEDIA_TYPE = "Please send the form as JSON, URL-encoded or multipart.";
    FORM_FIELD_TYPES = "The fields method and csrf_token must be texts. Please send them as the form has them.";
    BROWSER_IN_API_FLOW = "A program opened this form, so a browser cannot send it. Please open it in this browser.";
    SIGNED_IN_ALREADY = "You are already signed in. Please begin again.";
    CONFIRMED_ALREADY = "You have already confirmed this. Please go on.";
    SENT_TWICE = "You sent this form twice at once, and only one counted. This is the result.";
    // It is not told whose: another user may have it.
    REGISTERED_ALREADY = "This is registered already. Please use another one.";
    CHANGED_ELSEWHERE = "Your settings were changed elsewhere in the meantime. Please check them and try again.";
    REMOVED_ALREADY = "This was removed already. Please look again.";
    NO_TOTP = "You have no authenticator app to remove.";
    HAS_TOTP = "You already have an authenticator app. Please remove it before you add another.";
    NO_NEW_LOOKUP_SECRETS = "Please make new codes first, then confirm them.";
    NO_LOOKUP_SECRETS = "You have no recovery codes yet.";
    NO_LOOKUP_CHOICE = "Please choose what to do with your codes.";
    CODE_USED_UP = "This code was tried too often, and does not count any more. Please begin again with a new code.";
    CODE_NOT_SENT = "The code could not be sent. Please try again in a moment, or confirm in another way.";
    CODE_PERHAPS_SENT = "The code may not have been sent. If none arrives, please ask for a new one.";
    ADDRESS_NO_MAIL = "This is no mail address. Please type one as in kim@example.com.";
    ADDRESS_NO_NUMBER = "This is no phone number. Please type one that begins with + and the country code.";
    ADDRESS_NEITHER = "This is neither a mail address nor a phone number. A number begins with + and the country code.";
    ADDRESS_TAKEN = "You have this address already. Please add another one.";
    ADDRESSES_FULL = "You cannot add another address. Please remove one first.";
    // Or it may have proven the first factor, and nobody has said by which address.
    ADDRESS_SIGNED_IN_WITH = "You have signed in by a message, so this address would prove nothing more. Please add another one, or another second factor.";
    ADDRESS_GONE = "No address waits for a code any more. Please add it again.";
    ADDRESS_NOT_SENT = "The code could not be sent. Please try again in a moment.";
}
