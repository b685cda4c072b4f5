# Die Texte der eingebauten Seiten, auf Deutsch. Ids und Werte wie in en.ftl.

## On every page

signed-in-as = Angemeldet als { $account }
back-to = Zurück zu { $application }
cancel = Abbrechen
or = oder

## Confirming

login-title = Bestätigen Sie, dass Sie es sind
login-other-ways = Auf andere Weise bestätigen
trust-hours = Auf diesem Gerät { $number ->
    [one] eine Stunde
   *[other] { $number } Stunden
} lang nicht fragen
trust-days = Auf diesem Gerät { $number ->
    [one] einen Tag
   *[other] { $number } Tage
} lang nicht fragen
trigger-failed = Ihr Browser hat keinen Sicherheitsschlüssel benutzt: Der Vorgang wurde abgebrochen, dauerte zu lange, oder der Schlüssel passt nicht. Bitte versuchen Sie es noch einmal.
trigger-needs-javascript = Ein Sicherheitsschlüssel braucht JavaScript. Bitte erlauben Sie es für diese Seite.
trigger-needs-javascript-or-another-way = Ein Sicherheitsschlüssel braucht JavaScript. Bitte erlauben Sie es für diese Seite, oder bestätigen Sie auf andere Weise.
totp-hint = Sechs Ziffern, zum Beispiel 123 456
code-hint = Der Code aus der Nachricht
lookup-secret-hint = Ein Code von Ihrer Liste, mit oder ohne Bindestriche

## Second factors

settings-title = Zweite Faktoren
group-totp = Authenticator-App
group-lookup-secret = Wiederherstellungscodes
group-webauthn = Sicherheitsschlüssel
group-code = Codes per Nachricht
group-password = Passwort
group-oidc = Andere Konten
lookup-secrets-left = { $left } von { $of } Wiederherstellungscodes sind noch übrig.
lookup-secrets-none = Sie haben noch keine Wiederherstellungscodes. Erstellen Sie jetzt welche: Mit ihnen kommen Sie hinein, wenn Sie Ihr Telefon verlieren.
lookup-secrets-replace = Codes ersetzen
addresses-advice = Fügen Sie eine Adresse hinzu. Dann können Sie sich mit einem Code bestätigen, der dorthin gesendet wird.
addresses-mail = E-Mail-Adresse
addresses-number = Telefonnummer mit Ländervorwahl
addresses-mail-or-number = E-Mail-Adresse oder Telefonnummer mit Ländervorwahl
addresses-send = Code dorthin senden
addresses-sent-to = Bitte geben Sie den Code ein, der an { $address } gesendet wurde.
addresses-confirm = Bestätigen
addresses-remove = Diese Adresse entfernen
addresses-of-account = Diese Adresse gehört zu Ihrem Konto bei { $application }. Dort können Sie sie ändern.
addresses-unreadable = Eine Adresse, die nicht gelesen werden kann
devices-title = Geräte, auf denen nicht gefragt wird
devices-advice = Wenn Sie eines davon nicht kennen, entfernen Sie es, und ändern Sie Ihr Passwort.
devices-this = Dieses Gerät
devices-since = Seit { $since }
devices-with = Mit
devices-from-when = Seit
devices-last-used = Zuletzt benutzt
devices-until = Bis
devices-forget = Dieses Gerät entfernen
devices-forget-all = Alle Geräte entfernen

## Sessions

sessions-title = Wo Sie angemeldet sind
sessions-advice = Wenn Sie eine Sitzung nicht kennen, beenden Sie sie, und ändern Sie Ihr Passwort.
sessions-hosted-advice = Hier haben Sie bestätigt, dass Sie es sind. Wenn Sie eine Bestätigung beenden, bleiben Sie angemeldet. Wenn Sie eine davon nicht kennen, beenden Sie sie, und ändern Sie Ihr Passwort.
sessions-this = Diese Sitzung
sessions-signed-in-at = Angemeldet { $since }
sessions-confirmed-at = Bestätigt { $since }
sessions-signed-in = Angemeldet
sessions-first-confirmed = Zuerst bestätigt
sessions-with = Mit
sessions-from = Von
sessions-last-confirmed = Zuletzt bestätigt
sessions-by = Durch
sessions-ends = Endet
sessions-sign-out = Abmelden
sessions-end = Diese Sitzung beenden
sessions-end-hosted = Bestätigung beenden
sessions-end-others = Alle anderen Sitzungen beenden
sessions-end-others-hosted = Alle anderen beenden
method-password = Passwort
method-totp = Authenticator-App
method-lookup-secret = Wiederherstellungscode
method-webauthn = Sicherheitsschlüssel
method-code = Code per Nachricht
method-oidc = anderes Konto
method-other = auf andere Weise

## On the way back

continue-title = Weiter
continue-heading = Einen Moment
continue-text = Sie kommen gleich zu der Seite zurück, zu der Sie wollten.

## Errors

error-title = Das hat nicht geklappt
error-unauthorized = Bitte melden Sie sich an
error-not-found = Nicht gefunden
error-unavailable = Vorübergehend nicht erreichbar
error-begin-again = Neu beginnen
error-sign-in = Anmelden
error-try-again = Noch einmal versuchen
failure-no-session = Bitte melden Sie sich zuerst an.
failure-first-factor-required = Bitte melden Sie sich zuerst an, und bestätigen Sie dann mit Ihrem zweiten Faktor.
failure-already-available = Sie sind schon angemeldet. Um noch einmal zu bestätigen, fügen Sie refresh=true hinzu.
failure-still-signed-in = Sie sind noch von vorhin angemeldet. Bitte melden Sie sich ab und dann wieder an.
failure-forbidden-return-to = Diese Anwendung erlaubt die Adresse in return_to nicht.
failure-unknown-aal = Der Parameter aal muss aal1 oder aal2 sein.
failure-unknown-methods = Der Parameter methods muss eine Liste bekannter Methoden sein, durch Kommas getrennt.
failure-repeated-parameter = Bitte geben Sie jeden Parameter nur einmal an.
failure-login-challenge = Diese Anwendung unterstützt keine Anmeldung über OAuth2.
failure-tokenize-as = Diese Anwendung wandelt Sitzungen nicht in andere Tokens um.
failure-flow-disabled = Bitte melden Sie sich auf der Anmeldeseite der Anwendung an.
failure-bad-flow-query = Der Parameter flow muss die Id eines Vorgangs sein.
failure-unknown-flow = Dieses Formular gibt es nicht mehr. Bitte öffnen Sie es noch einmal.
failure-unknown-schema = Es gibt kein Schema mit dieser Id.
failure-unknown-error = Es gibt keinen Fehler mit dieser Id. Bitte gehen Sie zurück, und versuchen Sie es noch einmal.
failure-csrf = Dieses Formular wurde nicht in diesem Browser geöffnet. Bitte öffnen Sie es noch einmal.
failure-identity-mismatch = Dieses Formular gehört zu einer anderen Sitzung. Bitte öffnen Sie es noch einmal.
failure-body-too-large = Das Formular ist zu groß. Bitte senden Sie weniger.
failure-body-too-late = Das Formular kam zu langsam an. Bitte senden Sie es noch einmal.
failure-wrong-http-method = Diese Adresse unterstützt diese HTTP-Methode nicht.
failure-bad-body = Der Inhalt muss ein JSON-Objekt sein.
failure-missing-logout-token = Bitte verwenden Sie die logout_url von /self-service/logout/browser.
failure-wrong-logout-token = Dieser Link zum Abmelden gehört zu einer anderen Sitzung. Bitte melden Sie sich noch einmal ab.
failure-wrong-session-token = Der Inhalt muss das session_token Ihrer Sitzung haben.
failure-bad-page = Seitenangaben müssen ganze Zahlen sein.
failure-bad-session-id = Der Pfad muss mit der Id einer Sitzung enden.
failure-own-session = Um Ihre eigene Sitzung zu beenden, melden Sie sich bitte ab.
failure-unavailable = Bitte versuchen Sie es gleich noch einmal.

## What is wrong with a form

reason-form-unreadable = Das Formular konnte nicht gelesen werden. Bitte senden Sie es noch einmal.
reason-form-repeats = Das Formular hat ein Feld zweimal, mit verschiedenen Werten. Bitte senden Sie jedes Feld einmal.
reason-form-empty = Das Formular war leer. Bitte füllen Sie es aus.
reason-form-not-utf-8 = Bitte senden Sie das Formular in UTF-8.
reason-form-media-type = Bitte senden Sie das Formular als JSON, URL-kodiert oder als multipart.
reason-form-field-types = Die Felder method und csrf_token müssen Texte sein. Bitte senden Sie sie so, wie das Formular sie hat.
reason-browser-in-api-flow = Ein Programm hat dieses Formular geöffnet; ein Browser kann es nicht senden. Bitte öffnen Sie es in diesem Browser.
reason-signed-in-already = Sie sind schon angemeldet. Bitte beginnen Sie neu.
reason-confirmed-already = Sie haben das schon bestätigt. Bitte machen Sie weiter.
reason-sent-twice = Sie haben dieses Formular zweimal zugleich gesendet, und nur eines zählte. Dies ist das Ergebnis.
reason-registered-already = Das ist schon registriert. Bitte verwenden Sie etwas anderes.
reason-changed-elsewhere = Ihre Einstellungen wurden inzwischen anderswo geändert. Bitte prüfen Sie sie, und versuchen Sie es noch einmal.
reason-removed-already = Das wurde schon entfernt. Bitte sehen Sie noch einmal nach.
reason-no-totp = Sie haben keine Authenticator-App, die man entfernen könnte.
reason-has-totp = Sie haben schon eine Authenticator-App. Bitte entfernen Sie sie, bevor Sie eine andere hinzufügen.
reason-no-new-lookup-secrets = Bitte erstellen Sie zuerst neue Codes, und bestätigen Sie sie dann.
reason-no-lookup-secrets = Sie haben noch keine Wiederherstellungscodes.
reason-no-lookup-choice = Bitte wählen Sie, was mit Ihren Codes geschehen soll.
reason-code-used-up = Dieser Code wurde zu oft versucht und zählt nicht mehr. Bitte beginnen Sie neu mit einem neuen Code.
reason-code-not-sent = Der Code konnte nicht gesendet werden. Bitte versuchen Sie es gleich noch einmal, oder bestätigen Sie auf andere Weise.
reason-code-perhaps-sent = Vielleicht wurde der Code nicht gesendet. Wenn keiner ankommt, fordern Sie bitte einen neuen an.
reason-address-no-mail = Das ist keine E-Mail-Adresse. Bitte geben Sie eine ein wie kim@example.com.
reason-address-no-number = Das ist keine Telefonnummer. Bitte geben Sie eine ein, die mit + und der Ländervorwahl beginnt.
reason-address-neither = Das ist weder eine E-Mail-Adresse noch eine Telefonnummer. Eine Nummer beginnt mit + und der Ländervorwahl.
reason-address-taken = Diese Adresse haben Sie schon. Bitte fügen Sie eine andere hinzu.
reason-addresses-full = Sie können keine weitere Adresse hinzufügen. Bitte entfernen Sie zuerst eine.
reason-address-signed-in-with = Sie haben sich mit einer Nachricht angemeldet. Diese Adresse würde deshalb nichts weiter belegen. Bitte fügen Sie eine andere hinzu oder einen anderen zweiten Faktor.
reason-address-gone = Es wartet keine Adresse mehr auf einen Code. Bitte fügen Sie sie noch einmal hinzu.
reason-address-not-sent = Der Code konnte nicht gesendet werden. Bitte versuchen Sie es gleich noch einmal.
advice-totp-clock = Bitte prüfen Sie auch, ob Ihr Telefon die Uhrzeit von selbst stellt.

## Labels and messages of flows

text-1010001 = Bestätigen
text-1010003 = Bitte bestätigen Sie zu Ihrer Sicherheit noch einmal, bevor es weitergeht.
text-1010004 = Noch ein Schritt: Bestätigen Sie mit Ihrem zweiten Faktor.
text-1010006 = Code aus Ihrer Authenticator-App
text-1010007 = Einer Ihrer Wiederherstellungscodes
text-1010009 = Bestätigen
text-1010010 = Mit einem Wiederherstellungscode bestätigen
text-1010022 = Anmelden
text-1010023 = Code an { $address } senden
    .untold = Code senden
text-1010025 = Ein Code ist auf dem Weg zu Ihnen. Bitte geben Sie ihn hier ein, wenn er ankommt.
text-1050001 = Ihre Änderung wurde gespeichert.
text-1050004 = Authenticator-App entfernen
text-1050005 = Scannen Sie dies mit Ihrer Authenticator-App
text-1050007 = Zeigen, welche Wiederherstellungscodes benutzt sind
text-1050008 = Neue Wiederherstellungscodes erstellen
text-1050009 = Code { $number }: nicht benutzt
text-1050010 = Ihre Wiederherstellungscodes. Bewahren Sie sie jetzt an einem sicheren Ort auf. Sie sehen sie nicht wieder, und jeder gilt einmal.
    .hidden = Ihre Wiederherstellungscodes. Die Codes selbst können nicht noch einmal gezeigt werden.
text-1050011 = Ich habe diese Codes aufbewahrt
text-1050014 = Code { $number }: benutzt am { $used_at }
text-1050016 = Wiederherstellungscodes abschalten
text-1050017 = Oder geben Sie diesen Schlüssel in der App ein
text-1070001 = Passwort
text-1070003 = Speichern
text-1070004 = Benutzername oder E-Mail-Adresse
text-1070006 = Aktueller Code aus der App
text-1070008 = Neuen Code senden
text-1070009 = Weiter
text-1070013 = Code aus der Nachricht
text-1990001 = Sie brauchen einen zweiten Faktor, um fortzufahren. Bitte richten Sie zuerst einen ein.
text-1990002 = Sie können im Moment keinen Ihrer zweiten Faktoren benutzen. Bitte wenden Sie sich an den Support.
text-1990003 = Ihre Wiederherstellungscodes wurden mit entfernt: Sie gelten nur neben einem anderen zweiten Faktor.
text-1990005 = { $left } von { $of } Wiederherstellungscodes sind noch übrig. Sie können nicht noch einmal gezeigt werden, denn nur Sie haben sie. Wenn Sie sie verloren haben, erstellen Sie neue.
text-1990006 = Neu beginnen
text-4000002 = Bitte füllen Sie dieses Feld aus.
text-4000003 = Ein Code hat { $min_length } Ziffern. Bitte geben Sie alle ein.
text-4000006 = Diese Angaben sind falsch. Bitte prüfen Sie sie, und versuchen Sie es noch einmal.
text-4000008 = Dieser Code ist falsch. Bitte geben Sie den Code ein, den Ihre App jetzt zeigt.
    .no-code = Das kann kein Code sein. Bitte geben Sie die sechs Ziffern ein, die Ihre App zeigt, und sonst nichts.
    .used = Dieser Code kann nicht mehr benutzt werden. Bitte warten Sie auf den nächsten.
    .too-old = Dieser Code ist zu alt. Bitte geben Sie den ein, den Ihre App jetzt zeigt. Wenn Sie das getan haben, geht vielleicht die Uhr Ihres Telefons nach.
text-4000011 = Sie haben keine Authenticator-App eingerichtet. Bitte bestätigen Sie auf andere Weise.
text-4000012 = Dieser Wiederherstellungscode wurde schon benutzt. Bitte verwenden Sie einen anderen.
text-4000014 = Sie haben keine Wiederherstellungscodes. Bitte bestätigen Sie auf andere Weise.
text-4000016 = Das ist keiner Ihrer Wiederherstellungscodes. Bitte geben Sie einen so ein, wie er auf Ihrer Liste steht: seine Buchstaben und Ziffern.
text-4000035 = Das ist keine Ihrer Adressen für Codes. Bitte wählen Sie eine andere Weise.
text-4010001 = Dieses Formular ist abgelaufen. Bitte versuchen Sie es noch einmal.
text-4010002 = Bitte wählen Sie eine der Möglichkeiten auf dieser Seite.
text-4010004 = Bitte wählen Sie eine der Änderungen auf dieser Seite.
text-4010007 = Dieses Formular wurde schon benutzt. Bitte beginnen Sie neu.
text-4010008 = Dieser Code ist falsch oder abgelaufen. Bitte geben Sie den neuesten ein, den Sie bekommen haben.
text-4010011 = Dieses Konto ist gesperrt. Bitte wenden Sie sich an den Support.
text-4050001 = Dieses Formular ist abgelaufen. Bitte versuchen Sie es noch einmal.
text-4990001 = Zu viele Versuche. Bitte versuchen Sie es in { $retry_after ->
    [one] einer Sekunde
   *[other] { $retry_after } Sekunden
} noch einmal.
    .flow = Zu viele Versuche mit diesem Formular. Bitte beginnen Sie mit einem neuen.
