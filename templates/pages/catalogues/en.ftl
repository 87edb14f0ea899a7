# Layout
skip = Skip to the content
nav-main = Main
nav-find = Find parking
nav-parking = My parking
nav-history = History
nav-figures = Figures
nav-profile = Profile
nav-admin = Operations
nav-work = At the barrier
nav-login = Log in
nav-logout = Log out
nav-register = Sign up
footer-privacy = How your data is used
footer-developers = For developers
footer-language = Language
footer-choose = Choose
optional = optional
save = Save
remove = Remove
title-error = Error:
errors-title = There is a problem
pager = Pages
pager-first = First page
pager-previous = Previous page
pager-next = Next page
pager-page = Page { $page } of { $pages }
hours = { $count ->
    [one] { $count } hour
   *[other] { $count } hours
}
date = { $day } { $month } { $year }
month-1 = January
month-2 = February
month-3 = March
month-4 = April
month-5 = May
month-6 = June
month-7 = July
month-8 = August
month-9 = September
month-10 = October
month-11 = November
month-12 = December
month-short-1 = Jan
month-short-2 = Feb
month-short-3 = Mar
month-short-4 = Apr
month-short-5 = May
month-short-6 = Jun
month-short-7 = Jul
month-short-8 = Aug
month-short-9 = Sep
month-short-10 = Oct
month-short-11 = Nov
month-short-12 = Dec
weekday-1 = Mon
weekday-2 = Tue
weekday-3 = Wed
weekday-4 = Thu
weekday-5 = Fri
weekday-6 = Sat
weekday-7 = Sun

# Errors
error-page-title = Something went wrong
error-page-403 = You cannot view this page
error-page-404 = There is no such page
error-page-429 = Too many requests
error-page-500 = Something went wrong on our side
error-page-home = Go to the start page
error-page-id = If you ask for help, quote this ID:
error-page-wait = { $seconds ->
    [one] Try again in a second.
   *[other] Try again in { $seconds } seconds.
}
error-not-found = The page or the thing you are looking for does not exist, or is not yours.
error-forbidden = You do not have access to this page.
error-expired-form = This form has expired. Open the page again and repeat what you did.
error-rate-limited = You have tried this too often.
error-unavailable = The service is not available now. Try again in a moment.
error-overloaded = The service is very busy. Try again in a moment.
error-internal = The problem has been recorded. Try again later.
error-invalid-credentials = The email address or the password is wrong.
error-current-password-required = Enter your current password to confirm the change.
error-wrong-current-password = Your current password is wrong.
error-lot-full = This lot has no free spot now.
error-already-parked = You are parked already. Leave that spot first.
error-spot-taken = No spot is free at that time. Choose another time or another lot.
error-too-early = It is too early to arrive. Come back shortly before your reservation starts.
error-expired = This reservation has expired, because nobody arrived in time.
error-wrong-state = This cannot be done with the reservation as it is now.
error-transaction-used = This transaction has paid for another stay. Check the transaction id.
error-paid-otherwise = The stay was paid in another way.
error-nothing-due = The stay cost nothing. There is nothing to pay.
error-waived = The bill was waived. There is nothing to pay.
error-already-paid = The stay is paid. There is nothing to waive.
error-email-not-verified = Confirm your email address first, with the link in our welcome mail.
error-unpaid-stays = You have unpaid stays. Pay them first.
error-changed = Somebody else has changed this in the meantime. Open the page again.
error-lot-in-use = The lot cannot be closed while spots are occupied or reserved.
error-vehicle-taken = An account has this vehicle already.
error-too-many-vehicles = You cannot add more vehicles.
error-job-lives = Another job like this is already waiting or running.
error-job-not-dead = The job has not failed.
error-second-factor-required = Confirm this with a code of your second factor.
error-wrong-code = The code is wrong or was used before.
error-second-factor-missing = Administrators need a second factor here. Turn yours on first.
error-driver-parked = The driver of this car is parked already. End that stay first.
error-plate-parked = A car with this plate is parked already. End that stay first.
error-driver-deleted = The account of this driver has just been deleted. Try again.
error-second-factor-on = The second factor is on already.
error-second-factor-off = The second factor is off. Turn it on from the beginning.
error-email-taken = This email address has an account already.
error-username-taken = This name is taken.
error-phone-taken = This phone number belongs to another account.
error-spot-reserved = The spot is reserved by somebody else at that time.
error-overlapping-reservations = You have another reservation at that time.
error-too-many-reservations = You have too many reservations. Cancel one first.
error-too-many-no-shows = You have missed too many reservations lately. You can still park without one.
error-too-far-ahead = You cannot reserve that far ahead.
error-export-ended = The export has ended already.
error-export-not-ready = The file is not ready yet.
error-export-failed = The file could not be made. Create it again.
error-export-cancelled = The export was cancelled.
error-job-ended = The job has ended already.
error-gone = This link or file no longer works.
error-refunded = The payment went back to the driver.
error-spot-overstayed = Another car is still on your spot. Ask the attendant, or choose another time.
error-spot-retiring = This spot is being taken out of service.
error-needs-window = This stay has no reserved end that could be changed.

# Fields
field-username = Name
field-email = Email address
field-password = Password
field-code = Code
field-new-password = New password
field-current-password = Current password
field-vehicle = Vehicle
field-vehicle-number = Licence plate
field-plate = Licence plate
field-phone-number = Phone number
field-from = From
field-to = Until
field-until = Until
field-payment-method = Payment method
field-transaction-id = Transaction id
field-reason = Reason
field-location-name = Name
field-address = Address
field-pincode = Postal code
field-price = Price per hour
field-number-of-slots = Number of spots
field-sure = Confirmation
hint-password = At least 8 characters, and hard to guess.
hint-transaction = From your payment app or receipt.
hint-current = Needed to change the address or the number.
hint-price = For example 65.00. Running stays keep their price.
hint-slots = Spots in use leave service when they become free.
hint-reason = It is kept in the audit log.

# Landing page, login
landing-title = Parking without the hassle
landing-head = Find a spot before you set off
landing-lead = See what is free right now, reserve ahead, and pay when you leave. By the started hour, without surprises.
landing-free = { $free ->
    [one] { $free } spot is free
   *[other] { $free } spots are free
} now in { $count ->
    [one] { $count } lot
   *[other] { $count } lots
}.
landing-lots = Free now
landing-step-1 = Find
landing-step-1-text = Search by name, street or postal code.
landing-step-2 = Park
landing-step-2-text = Book on the spot, or reserve for later.
landing-step-3 = Leave and pay
landing-step-3-text = The receipt comes by mail.
login-title = Log in
login-button = Log in
login-forgotten = Forgot your password?
login-new = New here?
login-code-hint = From your authenticator app, or one of your recovery codes. Please enter your password again as well.
confirm-title = Confirm with a code
confirm-text = Enter a code of your second factor. It confirms your session for five minutes.
confirm-button = Confirm
register-title = Create an account
register-button = Create account
register-known = Do you have an account?
forgot-title = Forgotten password
forgot-lead = Enter the address of your account. We mail you a link that sets a new password.
forgot-button = Send the link
forgot-sent = If this address has an account, we have mailed a link to it. It works once and for 30 minutes.

# Lots
find-title = Find parking
find-what = Name, street or postal code
find-button = Search
find-sort = Sort by
sort-free = Free spots
sort-price = Price
sort-name = Name
find-none = No lot found
find-none-text = Try another name or postal code.
find-all = Show all lots
find-count = { $count ->
    [one] { $count } lot,
   *[other] { $count } lots,
}
find-now = free spots now
find-in-window = free spots at the chosen time
lot-free = { $free ->
    [0] Full
    [one] { $free } spot free
   *[other] { $free } spots free
}
lot-of = { $free } of { $spots } free
lot-full = No free spot now
lot-per-hour = per hour
lot-by-tariff = by tariff
lot-quote = for this time
lot-price = Price
lot-now = Free now
lot-closed = closed
book-title = Park now
book-text = Your stay starts at once. You pay for each started hour when you leave.
book-button = Book a spot now
book-login = Log in to park here
reserve-title = Reserve
reserve-text = Keep a spot for a time that you choose. You can cancel free of charge before you arrive.
reserve-button = Reserve
reserve-check = Check time and price

# My parking
parking-title = My parking
parking-none = You are not parked
parking-none-text = Find a lot, and book or reserve a spot.
parking-since = since { $time }
parking-spot = Spot
parking-so-far = Cost so far
parking-hours = Charged
parking-until = Reserved until { $time }
parking-upcoming = Reserved
parking-window = { $from } until { $to }
spot-number = spot { $number }
arrive-button = I have arrived
cancel-button = Cancel reservation
cancel-sure = Cancel this reservation?
leave-title = Leave and pay
leave-text = Your stay ends now. You can also pay later.
leave-button = Leave now
pay-title = Pay
pay-text = This stay is not paid yet.
pay-button = Pay
extend-title = Change the end
extend-text = You can stay longer while nobody else has reserved the spot.
extend-button = Change the end
method-upi = UPI
method-card = Card
method-cash = Cash
state-upcoming = Reserved
state-active = Parked
state-completed = Ended
state-cancelled = Cancelled
state-expired = Expired
payment-unpaid = Unpaid
payment-paid = Paid
payment-waived = Waived
payment-refunded = Refunded
reservation-title = No. { $id }
reservation-from = From
reservation-to = Until
reservation-quote = Price for this time
reservation-bill = Total
reservation-paid = Paid
reservation-declared = not yet verified
reservation-waived = Reason for waiving

# History and figures
history-none = No stays yet
history-none-text = Your stays and receipts will be here.
figures-none = No figures yet
figures-none-text = Charts appear after your first stay.
figures-bookings = Stays
figures-hours = Hours parked
figures-spent = Billed
figures-outstanding = Unpaid
figures-lots = Favourite lots
chart-spending = Paid by month
chart-arrivals = Stays by month
chart-weekdays = Stays by weekday
chart-revenue-days = Revenue of the last 30 days
chart-revenue-months = Revenue by month
chart-reservations = Reservations
chart-empty = Nothing to show yet.
chart-table = Show as a table
chart-period = When
chart-value = Value

# Exports
exports-title = Exports
exports-text = Download all your stays as a file. We also mail you when it is ready.
exports-format = Format
format-xlsx = Excel workbook (XLSX)
format-csv = Text for programs (CSV)
exports-button = Create the file
exports-none = No files yet
exports-none-text = Files that you create are kept here for a while.
export-of = Export of { $time }
export-rows = { $count ->
    [one] { $count } stay
   *[other] { $count } stays
}
export-progress = Progress
export-wait = This usually takes a few seconds.
export-reload = Reload
export-cancel = Cancel
export-download = Download
export-expires = The file is kept until { $time }.
export-ended = There is no file to download.
stage-underway = In progress
stage-ready = Ready
stage-expired = Expired
stage-failed = Failed
stage-cancelled = Cancelled

# Profile
profile-name = Your name
profile-vehicles = Vehicles
profile-contact = Email and phone
profile-unverified = Not confirmed yet: see our welcome mail
profile-pending = { $email } counts once you open the link that we mailed to it.
profile-password = Password
profile-password-button = Change password
profile-mails = Emails
profile-sessions = Where you are logged in
vehicles-none = No vehicle yet.
vehicle-add = Add vehicle
vehicle-sure = Remove this vehicle?
mails-reminders = Daily reminders
mails-reports = Monthly report
mails-always = Receipts and confirmations are always sent.
session-current = This device
session-begun = Since { $time }
session-unknown = Unknown program
session-end = Log out there

# At the barrier
work-title = Lots where you work
work-none = No lot yet
work-none-text = An administrator assigns the lots where you work.
work-plate-hint = Cars that are parked or expected here are suggested.
work-arrival = Arrival
work-departure = Departure
work-spots = Spots
work-windows = Expected today
work-windows-none = Nobody is expected any more today.
work-unpaid = Unpaid
work-unpaid-none = Everything is paid.
work-unpaid-more = There are more unpaid stays.
work-print = Print the receipt
work-payment = Take a payment
work-payment-hint = From the card terminal, or the payment app.
work-payment-button = Payment received
spot-available = Free
spot-occupied = Occupied
spot-reserved = Reserved

# Second factor
factor-title = Second factor
factor-text = Logins then need a code of an authenticator app on your phone, as well as your password.
factor-begin = Turn it on
factor-scan = Scan this picture with an authenticator app, then enter the code that the app shows.
factor-qr = QR code for an authenticator app
factor-secret = Or type this secret into the app:
factor-confirm = Confirm and turn on
factor-on = On
factor-off-now = Logins need only your password.
factor-manage = Manage
factor-left = { $count ->
    [one] { $count } recovery code is left.
   *[other] { $count } recovery codes are left.
}
factor-renew = New recovery codes
factor-renew-sure = The codes that you have now will no longer work. Continue?
factor-off = Turn off
factor-off-sure = Turn the second factor off?
codes-title = Recovery codes
codes-text = Each of these codes logs you in once if you lose your phone. They are shown only now: keep them in a safe place.
codes-download = Download
codes-print = Print
codes-kept = I have kept them

# What is wrong with a field
rule-empty = Fill this in.
rule-ticked = Tick this to confirm.
rule-whole = Enter a whole number.
rule-between = Enter a whole number from { $least } to { $most }.
rule-amount = Enter a number from 0 to { $most }.
rule-decimals = Use at most { $most } decimal places.
rule-length = Use { $least } to { $most } characters.
rule-most = Use at most { $most } characters.
rule-control = Leave out line breaks and invisible characters.
rule-letters = Use at least one letter or digit.
rule-name = Leave out { $sign }. Letters, digits, spaces and . , ' - _ & ( ) " are possible.
rule-name-web = Leave out web addresses, and put a space after a full stop.
rule-name-digits = Use at most { $most } digits.
rule-name-marks = Use at most { $most } marks on a letter.
rule-mail = Enter an address such as ann@example.com.
rule-mail-length = Enter an address of at most { $most } characters.
rule-mail-ascii = Use only unaccented Latin letters, digits and signs before the @.
rule-mail-domain = Check the part after the @.
rule-phone = Leave out { $sign }. Enter one number, of digits, spaces and - . ( ) /
rule-phone-country = Begin with the calling code of a country after the +.
rule-phone-digits = Enter { $least } to { $most } digits after the country code +{ $country }.
rule-guess = This password is too easy to guess. Use several uncommon words, or a password manager.
rule-time = Enter a date and a time.
rule-year = Enter a year from 1970 to 9998.
rule-clocks = The clocks change in that hour. Choose another time.
rule-past = Choose a time that is not in the past.
rule-ahead = Choose a time within the next { $most } days.
rule-after = Choose an end that is later than the start.
rule-window = Choose an end that is at most { $most } hours after the start.
rule-paid = Choose how it was paid, or enter the transaction id.
rule-reason = Give a reason, in at most { $most } characters.
rule-parked = No car with this plate is parked here.

# Pages that links in mails open
reset-title = Set a new password
reset-text = Setting it logs you out everywhere.
reset-button = Set password
reset-done-title = Your password is set
reset-done-text = You are logged out everywhere. Log in with the new password.
verify-title = Is this your address?
verify-text = You opened the link in our mail, so it seems to be.
verify-button = Yes, it is mine
verify-done-title = Your address is verified
verify-done-text = Thank you. You can close this page.
undo-title = Get this address back?
undo-text = Your account will have the address to which we wrote this mail. Everybody is logged out, and you get another mail with a link that sets a new password.
undo-button = Yes, restore it
undo-done-title = Your address is restored
undo-done-text = Everybody is logged out. Set a new password with the link that we have just mailed to you.
unsubscribe-reminders = No more reminders?
unsubscribe-reminders-text = We will no longer write when you have not parked for a while.
unsubscribe-reports = No more monthly reports?
unsubscribe-reports-text = We will no longer send a summary of your parking each month.
unsubscribe-button = Yes, unsubscribe
unsubscribe-done-title = You are unsubscribed
unsubscribe-done-text = You will still get emails about your bookings, receipts and exports.
link-gone-title = This link no longer works
link-gone-text = It has expired or was used already.

# What was done
done-logout = You are logged out.
done-booked = Your stay has started. Have a good time!
done-reserved = Your spot is reserved.
done-arrived = Welcome. Your stay has started.
done-left = Goodbye, and drive safely. Here is your bill.
done-paid = Thank you. The stay is paid.
done-extended = The end is changed.
done-cancelled = The reservation is cancelled.
done-name = Your name is saved.
done-contact = Your contact data is saved.
done-password = Your password is changed. You are logged out everywhere else.
done-mails = Your choice is saved.
done-vehicle = The vehicle is added.
done-vehicle-removed = The vehicle is removed.
done-session = That session has ended.
done-lot-created = The lot is open.
done-lot-changed = The lot is changed.
done-lot-closed = The lot is closed.
done-waived = The bill is waived.
done-requeued = The job is waiting for its next attempt.
done-paused = Paused.
done-resumed = Resumed.
done-started = It runs now.
done-confirmed = Confirmed. Repeat what you wanted to do.
done-let-in = The stay has started.
done-let-out = The stay has ended.
done-taken = The payment is recorded.
done-factor-off = The second factor is off.

# Operations
admin-today = Today
admin-lots = Lots
admin-users = Users
admin-reports = Reports
admin-unpaid = Unpaid
admin-jobs = Jobs
admin-deliveries = Messages
admin-audit = Audit log
admin-health = Health
today-revenue = Revenue today
today-month = Revenue this month
today-outstanding = Unpaid bills
today-parked = Parked now
today-reserved = Reserved
today-occupancy = Occupancy
today-of = { $taken } of { $spots }
today-lots = Occupancy by lot
warning-redis = Redis is not available. Pages are slower, and mails wait.
warning-dead = { $count ->
    [one] One job has failed
   *[other] { $count } jobs have failed
}
warning-paused = { $count ->
    [one] One queue is paused
   *[other] { $count } queues are paused
}
warning-full = { $count ->
    [one] One lot is full
   *[other] { $count } lots are full
}
warning-unpaid = Some stays are not paid
lots-none = No lots yet
lots-none-text = Open the first lot, and drivers can park.
lot-new = New lot
lot-close-title = Close this lot
lot-close-text = Its stays keep its name. A closed lot cannot be opened again.
lot-close-sure = Yes, close it for good
lot-close-button = Close lot
users-search = Complete name or email address
users-none = Nobody found
users-none-text = The name or the address must be complete.
users-all = Show all users
users-role = Role
users-since = Since
users-last = Last login
users-unverified = not confirmed
role-admin = Administrator
role-user = Driver
user-number = user { $id }
reports-revenue = Revenue
reports-verified = Verified
reports-declared = Declared by drivers
reports-completed = Stays
reports-drivers = Drivers
reports-methods = Payments by method
unpaid-none = Everything is paid
unpaid-none-text = Stays that end without a payment appear here.
waive-title = Waive
waive-button = Waive the bill
jobs-queues = Queues
jobs-schedules = Schedules
jobs-running = Running
jobs-running-none = No job is running.
jobs-dead = Failed
jobs-dead-none = No failed jobs
jobs-dead-none-text = Jobs that fail for good appear here with their error.
jobs-active = active
jobs-paused = paused
jobs-pause = Pause
jobs-resume = Resume
jobs-run = Run now
jobs-requeue = Try again
jobs-waiting = { $count } waiting
jobs-running-count = { $count } running
jobs-oldest = oldest due for { $seconds } s
jobs-next = next { $time }
jobs-last = last { $time }
jobs-attempt = attempt { $attempt } of { $most }
job-queued = waiting
job-running = running
job-succeeded = succeeded
job-failed = failed
job-cancelled = cancelled
deliveries-state = State
deliveries-all = All
deliveries-none = No messages
deliveries-none-text = Mails and text messages appear here with what became of them.
deliveries-kind = Message
deliveries-channel = Channel
delivery-sending = Sending
delivery-sent = Sent
delivery-refused = Refused
delivery-ambiguous = Unclear
column-time = Time
column-user = User
column-details = Details
audit-none = Nothing yet
audit-none-text = What administrators do appears here and cannot be changed.
audit-action = Action
audit-object = Object
audit-actor = By
service-database = Database
service-redis = Redis
health-ok = OK
health-away = Not available
health-data = Rules of the data
health-data-text = Checks that no spot is sold twice, every bill is right, and more. On large databases this takes a while.
health-check = Check now
health-broken = { $count } broken
health-version = Version
health-address = Public address
health-zone = Time zone
health-currency = Currency
