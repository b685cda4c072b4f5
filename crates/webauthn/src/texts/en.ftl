# What the pages say about security keys.

text-1010008 = Use your security key
text-1050012 = Add this security key
text-1050013 = Name of the new security key
text-1050018 = Remove the security key “{ $display_name }”
text-4000001 =
    .no-answer = No answer of a security key has arrived. Please try again.
    .not-added = This security key was not added. Please try again.
    .has-key = You have added this security key already.
    .no-such-key = You have no such security key. Please look again.
    .bad-name = This name is too long, or has characters that nobody sees.
text-4000002 =
    .security-key-name = Please give the key a name, so that you know it from others.
text-4000013 = You have no security key set up. Please confirm another way.
text-4000043 = This did not work. Please try again with a security key that you have added here.
text-4010004 =
    .security-key = Please choose what to change.
