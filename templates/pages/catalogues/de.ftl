# Rahmen
skip = Zum Inhalt springen
nav-main = Hauptmenü
nav-find = Parkplatz finden
nav-parking = Mein Parken
nav-history = Verlauf
nav-figures = Zahlen
nav-profile = Profil
nav-admin = Betrieb
nav-login = Anmelden
nav-logout = Abmelden
nav-register = Registrieren
footer-privacy = So nutzen wir Ihre Daten
footer-developers = Für Entwickler
footer-language = Sprache
footer-choose = Wählen
optional = freiwillig
save = Speichern
remove = Entfernen
title-error = Fehler:
errors-title = Das hat nicht geklappt
pager = Seiten
pager-first = Erste Seite
pager-previous = Vorige Seite
pager-next = Nächste Seite
pager-page = Seite { $page } von { $pages }
hours = { $count ->
    [one] { $count } Stunde
   *[other] { $count } Stunden
}
date = { $day }. { $month } { $year }
month-1 = Januar
month-2 = Februar
month-3 = März
month-4 = April
month-5 = Mai
month-6 = Juni
month-7 = Juli
month-8 = August
month-9 = September
month-10 = Oktober
month-11 = November
month-12 = Dezember
month-short-1 = Jan.
month-short-2 = Feb.
month-short-3 = März
month-short-4 = Apr.
month-short-5 = Mai
month-short-6 = Juni
month-short-7 = Juli
month-short-8 = Aug.
month-short-9 = Sept.
month-short-10 = Okt.
month-short-11 = Nov.
month-short-12 = Dez.
weekday-1 = Mo
weekday-2 = Di
weekday-3 = Mi
weekday-4 = Do
weekday-5 = Fr
weekday-6 = Sa
weekday-7 = So

# Fehler
error-page-title = Etwas ist schiefgegangen
error-page-403 = Diese Seite dürfen Sie nicht sehen
error-page-404 = Diese Seite gibt es nicht
error-page-429 = Zu viele Anfragen
error-page-500 = Bei uns ist etwas schiefgegangen
error-page-home = Zur Startseite
error-page-id = Nennen Sie diese Kennung, wenn Sie um Hilfe bitten:
error-page-wait = { $seconds ->
    [one] Versuchen Sie es in einer Sekunde noch einmal.
   *[other] Versuchen Sie es in { $seconds } Sekunden noch einmal.
}
error-not-found = Was Sie suchen, gibt es nicht, oder es gehört Ihnen nicht.
error-forbidden = Diese Seite ist für Administratoren.
error-expired-form = Dieses Formular ist abgelaufen. Öffnen Sie die Seite noch einmal.
error-rate-limited = Sie haben das zu oft versucht.
error-unavailable = Der Dienst ist gerade nicht erreichbar. Versuchen Sie es gleich noch einmal.
error-overloaded = Der Dienst ist sehr beschäftigt. Versuchen Sie es gleich noch einmal.
error-internal = Der Fehler wurde festgehalten. Versuchen Sie es später noch einmal.
error-invalid-credentials = Die E-Mail-Adresse oder das Passwort ist falsch.
error-current-password-required = Geben Sie zur Bestätigung Ihr jetziges Passwort ein.
error-wrong-current-password = Ihr jetziges Passwort ist falsch.
error-lot-full = Auf diesem Parkplatz ist gerade nichts frei.
error-already-parked = Sie parken schon. Verlassen Sie erst diesen Stellplatz.
error-spot-taken = Zu dieser Zeit ist nichts frei. Wählen Sie eine andere Zeit oder einen anderen Parkplatz.
error-too-early = Für die Ankunft ist es zu früh. Kommen Sie kurz vor Beginn der Reservierung wieder.
error-expired = Diese Reservierung ist verfallen, weil niemand rechtzeitig gekommen ist.
error-wrong-state = Das geht mit dieser Reservierung jetzt nicht.
error-transaction-used = Mit dieser Transaktion wurde schon anderes Parken bezahlt. Prüfen Sie die Nummer.
error-paid-otherwise = Das Parken wurde auf andere Weise bezahlt.
error-nothing-due = Das Parken hat nichts gekostet. Es ist nichts zu bezahlen.
error-waived = Die Rechnung wurde erlassen. Es ist nichts zu bezahlen.
error-already-paid = Das Parken ist bezahlt. Es gibt nichts zu erlassen.
error-email-not-verified = Bestätigen Sie erst Ihre E-Mail-Adresse, mit dem Link in unserer Begrüßungsmail.
error-unpaid-stays = Sie haben unbezahlte Rechnungen. Bezahlen Sie diese zuerst.
error-changed = Jemand anderes hat das inzwischen geändert. Öffnen Sie die Seite noch einmal.
error-lot-in-use = Der Parkplatz kann nicht geschlossen werden, solange Stellplätze belegt oder reserviert sind.
error-vehicle-taken = Dieses Fahrzeug gehört schon zu einem Konto.
error-too-many-vehicles = Mehr Fahrzeuge können Sie nicht hinzufügen.
error-job-lives = Ein gleicher Auftrag wartet oder läuft schon.
error-job-not-dead = Der Auftrag ist nicht fehlgeschlagen.
error-second-factor-required = Bestätigen Sie dies mit einem Code Ihres zweiten Faktors.
error-wrong-code = Der Code ist falsch oder wurde schon verwendet.
error-second-factor-missing = Die Verwaltung braucht hier einen zweiten Faktor. Schalten Sie Ihren zuerst über die API ein.

# Felder
field-username = Name
field-email = E-Mail-Adresse
field-password = Passwort
field-code = Code
field-new-password = Neues Passwort
field-current-password = Jetziges Passwort
field-vehicle-number = Kennzeichen
field-plate = Kennzeichen
field-phone-number = Telefonnummer
field-from = Von
field-to = Bis
field-until = Bis
field-payment-method = Zahlungsart
field-transaction-id = Transaktionsnummer
field-reason = Grund
field-location-name = Name
field-address = Adresse
field-pincode = Postleitzahl
field-price = Preis pro Stunde
field-number-of-slots = Anzahl der Stellplätze
field-sure = Bestätigung
hint-password = Mindestens 8 Zeichen und schwer zu erraten.
hint-transaction = Aus Ihrer Bezahl-App oder vom Beleg.
hint-current = Nötig, um Adresse oder Nummer zu ändern.
hint-price = Zum Beispiel 65.00, mit Punkt. Für laufendes Parken gilt der alte Preis.
hint-slots = Belegte Stellplätze fallen weg, sobald sie frei werden.
hint-reason = Er wird im Protokoll festgehalten.

# Startseite, Anmeldung
landing-title = Entspannt parken
landing-head = Erst den Platz finden, dann losfahren
landing-lead = Sehen Sie, was gerade frei ist, reservieren Sie im Voraus, und zahlen Sie beim Wegfahren. Nach angefangenen Stunden, ohne Überraschungen.
landing-free = Gerade { $free ->
    [one] ist { $free } Stellplatz
   *[other] sind { $free } Stellplätze
} auf { $count ->
    [one] { $count } Parkplatz
   *[other] { $count } Parkplätzen
} frei.
landing-lots = Jetzt frei
landing-step-1 = Finden
landing-step-1-text = Suchen Sie nach Name, Straße oder Postleitzahl.
landing-step-2 = Parken
landing-step-2-text = Sofort buchen oder für später reservieren.
landing-step-3 = Wegfahren und zahlen
landing-step-3-text = Der Beleg kommt per E-Mail.
login-title = Anmelden
login-button = Anmelden
login-forgotten = Passwort vergessen?
login-new = Neu hier?
login-code-hint = Aus Ihrer Authenticator-App oder einer Ihrer Wiederherstellungscodes. Geben Sie auch das Passwort noch einmal ein.
confirm-title = Mit einem Code bestätigen
confirm-text = Ihre Sitzung gilt fünf Minuten lang als bestätigt.
confirm-button = Bestätigen
register-title = Konto anlegen
register-button = Konto anlegen
register-known = Haben Sie schon ein Konto?
forgot-title = Passwort vergessen
forgot-lead = Geben Sie die Adresse Ihres Kontos ein. Wir schicken Ihnen einen Link für ein neues Passwort.
forgot-button = Link schicken
forgot-sent = Wenn zu dieser Adresse ein Konto gehört, haben wir einen Link dorthin geschickt. Er gilt einmal und 30 Minuten lang.

# Parkplätze
find-title = Parkplatz finden
find-what = Name, Straße oder Postleitzahl
find-button = Suchen
find-sort = Sortieren nach
sort-free = Freien Plätzen
sort-price = Preis
sort-name = Name
find-none = Kein Parkplatz gefunden
find-none-text = Versuchen Sie einen anderen Namen oder eine andere Postleitzahl.
find-all = Alle Parkplätze zeigen
find-count = { $count ->
    [one] { $count } Parkplatz,
   *[other] { $count } Parkplätze,
}
find-now = freie Plätze jetzt
find-in-window = freie Plätze zur gewählten Zeit
lot-free = { $free ->
    [0] Voll
    [one] { $free } Platz frei
   *[other] { $free } Plätze frei
}
lot-of = { $free } von { $spots } frei
lot-full = Gerade nichts frei
lot-per-hour = pro Stunde
lot-quote = für diese Zeit
lot-price = Preis
lot-now = Jetzt frei
lot-closed = geschlossen
book-title = Jetzt parken
book-text = Das Parken beginnt sofort. Beim Wegfahren zahlen Sie jede angefangene Stunde.
book-button = Jetzt buchen
book-login = Anmelden und hier parken
reserve-title = Reservieren
reserve-text = Halten Sie einen Stellplatz für eine Zeit Ihrer Wahl frei. Vor der Ankunft können Sie kostenlos stornieren.
reserve-button = Reservieren
reserve-check = Zeit und Preis prüfen

# Mein Parken
parking-title = Mein Parken
parking-none = Sie parken gerade nicht
parking-none-text = Finden Sie einen Parkplatz, und buchen oder reservieren Sie.
parking-since = seit { $time }
parking-spot = Stellplatz
parking-so-far = Kosten bisher
parking-hours = Berechnet
parking-until = Reserviert bis { $time }
parking-upcoming = Reserviert
parking-window = { $from } bis { $to }
spot-number = Stellplatz { $number }
arrive-button = Ich bin da
cancel-button = Reservierung stornieren
cancel-sure = Diese Reservierung stornieren?
leave-title = Wegfahren und zahlen
leave-text = Das Parken endet jetzt. Sie können auch später zahlen.
leave-button = Jetzt wegfahren
pay-title = Zahlen
pay-text = Dieses Parken ist noch nicht bezahlt.
pay-button = Zahlen
extend-title = Ende ändern
extend-text = Sie können länger bleiben, solange niemand sonst den Stellplatz reserviert hat.
extend-button = Ende ändern
method-upi = UPI
method-card = Karte
method-cash = Bar
state-upcoming = Reserviert
state-active = Parkt
state-completed = Beendet
state-cancelled = Storniert
state-expired = Verfallen
payment-unpaid = Unbezahlt
payment-paid = Bezahlt
payment-waived = Erlassen
payment-refunded = Erstattet
reservation-title = Nr. { $id }
reservation-from = Von
reservation-to = Bis
reservation-quote = Preis für die Zeit
reservation-bill = Summe
reservation-paid = Bezahlt
reservation-declared = noch nicht geprüft
reservation-waived = Erlassen, weil

# Verlauf und Zahlen
history-none = Noch nichts
history-none-text = Hier stehen später Ihre Parkzeiten und Belege.
figures-none = Noch keine Zahlen
figures-none-text = Nach dem ersten Parken gibt es hier Diagramme.
figures-bookings = Parkvorgänge
figures-hours = Stunden geparkt
figures-spent = Berechnet
figures-outstanding = Unbezahlt
figures-lots = Lieblingsparkplätze
chart-spending = Bezahlt nach Monat
chart-arrivals = Parkvorgänge nach Monat
chart-weekdays = Parkvorgänge nach Wochentag
chart-revenue-days = Einnahmen der letzten 30 Tage
chart-revenue-months = Einnahmen nach Monat
chart-reservations = Reservierungen
chart-empty = Noch nichts zu zeigen.
chart-table = Als Tabelle zeigen
chart-period = Wann
chart-value = Wert

# Exporte
exports-title = Exporte
exports-text = Laden Sie alle Ihre Parkvorgänge als Datei herunter. Wir schreiben Ihnen auch, wenn sie fertig ist.
exports-format = Format
format-xlsx = Excel-Arbeitsmappe (XLSX)
format-csv = Text für Programme (CSV)
exports-button = Datei erstellen
exports-none = Noch keine Dateien
exports-none-text = Hier bleiben Ihre Dateien eine Zeit lang liegen.
export-of = Export vom { $time }
export-rows = { $count ->
    [one] { $count } Parkvorgang
   *[other] { $count } Parkvorgänge
}
export-progress = Fortschritt
export-wait = Das dauert meist wenige Sekunden.
export-reload = Neu laden
export-cancel = Abbrechen
export-download = Herunterladen
export-expires = Die Datei bleibt bis { $time } liegen.
export-ended = Es gibt keine Datei zum Herunterladen.
stage-underway = In Arbeit
stage-ready = Fertig
stage-expired = Abgelaufen
stage-failed = Fehlgeschlagen
stage-cancelled = Abgebrochen

# Profil
profile-name = Ihr Name
profile-vehicles = Fahrzeuge
profile-contact = E-Mail und Telefon
profile-unverified = Noch nicht bestätigt: siehe Begrüßungsmail
profile-pending = { $email } gilt, sobald Sie den Link öffnen, den wir dorthin geschickt haben.
profile-password = Passwort
profile-password-button = Passwort ändern
profile-mails = E-Mails
profile-sessions = Wo Sie angemeldet sind
vehicles-none = Noch kein Fahrzeug.
vehicle-add = Fahrzeug hinzufügen
vehicle-sure = Dieses Fahrzeug entfernen?
mails-reminders = Tägliche Erinnerungen
mails-reports = Monatsbericht
mails-always = Belege und Bestätigungen werden immer verschickt.
session-current = Dieses Gerät
session-begun = Seit { $time }
session-unknown = Unbekanntes Programm
session-end = Dort abmelden

# Was getan wurde
done-logout = Sie sind abgemeldet.
done-booked = Das Parken hat begonnen. Viel Vergnügen!
done-reserved = Ihr Stellplatz ist reserviert.
done-arrived = Willkommen. Das Parken hat begonnen.
done-left = Auf Wiedersehen und gute Fahrt. Hier ist Ihre Rechnung.
done-paid = Danke. Das Parken ist bezahlt.
done-extended = Das Ende ist geändert.
done-cancelled = Die Reservierung ist storniert.
done-name = Ihr Name ist gespeichert.
done-contact = Ihre Kontaktdaten sind gespeichert.
done-password = Ihr Passwort ist geändert. Überall sonst sind Sie abgemeldet.
done-mails = Ihre Wahl ist gespeichert.
done-vehicle = Das Fahrzeug ist hinzugefügt.
done-vehicle-removed = Das Fahrzeug ist entfernt.
done-session = Die Sitzung ist beendet.
done-lot-created = Der Parkplatz ist geöffnet.
done-lot-changed = Der Parkplatz ist geändert.
done-lot-closed = Der Parkplatz ist geschlossen.
done-waived = Die Rechnung ist erlassen.
done-requeued = Der Auftrag wartet auf den nächsten Versuch.
done-paused = Angehalten.
done-resumed = Fortgesetzt.
done-started = Läuft jetzt.
done-confirmed = Bestätigt. Wiederholen Sie, was Sie tun wollten.

# Betrieb
admin-today = Heute
admin-lots = Parkplätze
admin-users = Konten
admin-reports = Berichte
admin-unpaid = Unbezahlt
admin-jobs = Aufträge
admin-deliveries = Nachrichten
admin-audit = Protokoll
admin-health = Zustand
today-revenue = Einnahmen heute
today-month = Einnahmen diesen Monat
today-outstanding = Unbezahlte Rechnungen
today-parked = Parken jetzt
today-reserved = Reserviert
today-occupancy = Belegung
today-of = { $taken } von { $spots }
today-lots = Belegung nach Parkplatz
warning-redis = Redis ist nicht erreichbar. Seiten sind langsamer, und E-Mails warten.
warning-dead = { $count ->
    [one] Ein Auftrag ist fehlgeschlagen
   *[other] { $count } Aufträge sind fehlgeschlagen
}
warning-paused = { $count ->
    [one] Eine Warteschlange ist angehalten
   *[other] { $count } Warteschlangen sind angehalten
}
warning-full = { $count ->
    [one] Ein Parkplatz ist voll
   *[other] { $count } Parkplätze sind voll
}
warning-unpaid = Es gibt unbezahltes Parken
lots-none = Noch keine Parkplätze
lots-none-text = Öffnen Sie den ersten, dann kann geparkt werden.
lot-new = Neuer Parkplatz
lot-close-title = Parkplatz schließen
lot-close-text = Alte Parkvorgänge behalten den Namen. Ein geschlossener Parkplatz kann nicht wieder geöffnet werden.
lot-close-sure = Ja, endgültig schließen
lot-close-button = Parkplatz schließen
users-search = Vollständiger Name oder E-Mail-Adresse
users-none = Niemand gefunden
users-none-text = Name oder Adresse müssen vollständig sein.
users-all = Alle Konten zeigen
users-role = Rolle
users-since = Seit
users-last = Letzte Anmeldung
users-unverified = nicht bestätigt
role-admin = Administrator
role-user = Fahrer
user-number = Konto { $id }
reports-revenue = Einnahmen
reports-verified = Geprüft
reports-declared = Von Fahrern angegeben
reports-completed = Parkvorgänge
reports-drivers = Fahrer
reports-methods = Zahlungen nach Art
unpaid-none = Alles ist bezahlt
unpaid-none-text = Hier erscheint Parken, das ohne Zahlung endet.
waive-title = Erlassen
waive-button = Rechnung erlassen
jobs-queues = Warteschlangen
jobs-schedules = Zeitpläne
jobs-running = Läuft
jobs-running-none = Kein Auftrag läuft.
jobs-dead = Fehlgeschlagen
jobs-dead-none = Keine fehlgeschlagenen Aufträge
jobs-dead-none-text = Endgültig fehlgeschlagene Aufträge erscheinen hier mit ihrem Fehler.
jobs-active = aktiv
jobs-paused = angehalten
jobs-pause = Anhalten
jobs-resume = Fortsetzen
jobs-run = Jetzt ausführen
jobs-requeue = Noch einmal versuchen
jobs-waiting = { $count } warten
jobs-running-count = { $count } laufen
jobs-oldest = ältester seit { $seconds } s fällig
jobs-next = nächster Lauf { $time }
jobs-last = letzter Lauf { $time }
jobs-attempt = Versuch { $attempt } von { $most }
job-queued = wartet
job-running = läuft
job-succeeded = gelungen
job-failed = fehlgeschlagen
job-cancelled = abgebrochen
deliveries-state = Zustand
deliveries-all = Alle
deliveries-none = Keine Nachrichten
deliveries-none-text = Hier erscheinen E-Mails und SMS, und was aus ihnen wurde.
deliveries-kind = Nachricht
deliveries-channel = Kanal
delivery-sending = Wird verschickt
delivery-sent = Verschickt
delivery-refused = Abgelehnt
delivery-ambiguous = Unklar
column-time = Zeit
column-user = Konto
column-details = Einzelheiten
audit-none = Noch nichts
audit-none-text = Was Administratoren tun, erscheint hier und kann nicht geändert werden.
audit-action = Handlung
audit-object = Gegenstand
audit-actor = Durch
service-database = Datenbank
service-redis = Redis
health-ok = In Ordnung
health-away = Nicht erreichbar
health-data = Regeln der Daten
health-data-text = Prüft, ob kein Stellplatz doppelt vergeben ist, jede Rechnung stimmt und mehr. Bei großen Datenbanken dauert das.
health-check = Jetzt prüfen
health-broken = { $count } verletzt
health-version = Version
health-address = Öffentliche Adresse
health-zone = Zeitzone
health-currency = Währung
