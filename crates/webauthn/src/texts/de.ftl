# Was die Seiten über Sicherheitsschlüssel sagen.

text-1010008 = Sicherheitsschlüssel benutzen
text-1050012 = Diesen Sicherheitsschlüssel hinzufügen
text-1050013 = Name des neuen Sicherheitsschlüssels
text-1050018 = Sicherheitsschlüssel „{ $display_name }“ entfernen
text-4000001 =
    .no-answer = Von einem Sicherheitsschlüssel kam keine Antwort an. Bitte versuchen Sie es noch einmal.
    .not-added = Dieser Sicherheitsschlüssel wurde nicht hinzugefügt. Bitte versuchen Sie es noch einmal.
    .has-key = Sie haben diesen Sicherheitsschlüssel schon hinzugefügt.
    .no-such-key = Sie haben keinen solchen Sicherheitsschlüssel. Bitte sehen Sie noch einmal nach.
    .bad-name = Dieser Name ist zu lang oder hat Zeichen, die niemand sieht.
text-4000002 =
    .security-key-name = Bitte geben Sie dem Schlüssel einen Namen, damit Sie ihn von anderen unterscheiden.
text-4000013 = Sie haben keinen Sicherheitsschlüssel eingerichtet. Bitte bestätigen Sie auf andere Weise.
text-4000043 = Das hat nicht geklappt. Bitte versuchen Sie es noch einmal mit einem Sicherheitsschlüssel, den Sie hier hinzugefügt haben.
text-4010004 =
    .security-key = Bitte wählen Sie, was geändert werden soll.
