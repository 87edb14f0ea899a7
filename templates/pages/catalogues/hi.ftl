# ढाँचा
skip = सीधे सामग्री पर जाएँ
nav-main = मुख्य मेनू
nav-find = पार्किंग खोजें
nav-parking = मेरी पार्किंग
nav-history = इतिहास
nav-figures = आँकड़े
nav-profile = प्रोफ़ाइल
nav-admin = संचालन
nav-login = लॉग इन
nav-logout = लॉग आउट
nav-register = साइन अप
footer-privacy = आपके डेटा का उपयोग
footer-developers = डेवलपर के लिए
footer-language = भाषा
footer-choose = चुनें
optional = वैकल्पिक
save = सहेजें
remove = हटाएँ
title-error = त्रुटि:
errors-title = कुछ समस्या है
pager = पृष्ठ
pager-first = पहला पृष्ठ
pager-previous = पिछला पृष्ठ
pager-next = अगला पृष्ठ
pager-page = पृष्ठ { $page }, कुल { $pages }
hours = { $count ->
    [one] { $count } घंटा
   *[other] { $count } घंटे
}
date = { $day } { $month } { $year }
month-1 = जनवरी
month-2 = फ़रवरी
month-3 = मार्च
month-4 = अप्रैल
month-5 = मई
month-6 = जून
month-7 = जुलाई
month-8 = अगस्त
month-9 = सितंबर
month-10 = अक्टूबर
month-11 = नवंबर
month-12 = दिसंबर
month-short-1 = जन॰
month-short-2 = फ़र॰
month-short-3 = मार्च
month-short-4 = अप्रै॰
month-short-5 = मई
month-short-6 = जून
month-short-7 = जुल॰
month-short-8 = अग॰
month-short-9 = सित॰
month-short-10 = अक्टू॰
month-short-11 = नव॰
month-short-12 = दिस॰
weekday-1 = सोम
weekday-2 = मंगल
weekday-3 = बुध
weekday-4 = गुरु
weekday-5 = शुक्र
weekday-6 = शनि
weekday-7 = रवि

# त्रुटियाँ
error-page-title = कुछ गड़बड़ हो गई
error-page-403 = आप यह पृष्ठ नहीं देख सकते
error-page-404 = ऐसा कोई पृष्ठ नहीं है
error-page-429 = बहुत अधिक अनुरोध
error-page-500 = हमारी ओर से कुछ गड़बड़ हो गई
error-page-home = मुखपृष्ठ पर जाएँ
error-page-id = सहायता माँगते समय यह आईडी बताएँ:
error-page-wait = { $seconds ->
    [one] एक सेकंड बाद फिर कोशिश करें।
   *[other] { $seconds } सेकंड बाद फिर कोशिश करें।
}
error-not-found = आप जो खोज रहे हैं वह मौजूद नहीं है, या आपका नहीं है।
error-forbidden = यह पृष्ठ व्यवस्थापकों के लिए है।
error-expired-form = इस फ़ॉर्म का समय समाप्त हो गया। पृष्ठ फिर से खोलें और दोबारा करें।
error-rate-limited = आपने यह बहुत बार किया है।
error-unavailable = सेवा अभी उपलब्ध नहीं है। थोड़ी देर में फिर कोशिश करें।
error-overloaded = सेवा बहुत व्यस्त है। थोड़ी देर में फिर कोशिश करें।
error-internal = समस्या दर्ज कर ली गई है। बाद में फिर कोशिश करें।
error-invalid-credentials = ईमेल पता या पासवर्ड ग़लत है।
error-current-password-required = पुष्टि के लिए अपना वर्तमान पासवर्ड भरें।
error-wrong-current-password = आपका वर्तमान पासवर्ड ग़लत है।
error-lot-full = इस पार्किंग में अभी कोई जगह ख़ाली नहीं है।
error-already-parked = आपकी गाड़ी पहले से पार्क है। पहले वह जगह छोड़ें।
error-spot-taken = उस समय कोई जगह ख़ाली नहीं है। दूसरा समय या दूसरी पार्किंग चुनें।
error-too-early = पहुँचने के लिए अभी बहुत जल्दी है। आरक्षण शुरू होने से थोड़ा पहले आएँ।
error-expired = यह आरक्षण समाप्त हो गया, क्योंकि समय पर कोई नहीं पहुँचा।
error-wrong-state = इस आरक्षण के साथ अभी यह नहीं किया जा सकता।
error-transaction-used = इस लेन-देन से किसी और पार्किंग का भुगतान हो चुका है। लेन-देन संख्या जाँचें।
error-paid-otherwise = इसका भुगतान दूसरे तरीक़े से हो चुका है।
error-nothing-due = इसका कोई शुल्क नहीं था। भुगतान की ज़रूरत नहीं है।
error-waived = बिल माफ़ कर दिया गया है। भुगतान की ज़रूरत नहीं है।
error-already-paid = भुगतान हो चुका है। माफ़ करने को कुछ नहीं है।
error-email-not-verified = पहले हमारे स्वागत मेल के लिंक से अपने ईमेल पते की पुष्टि करें।
error-unpaid-stays = आपके कुछ बिल बकाया हैं। पहले उनका भुगतान करें।
error-changed = इस बीच किसी और ने इसे बदल दिया है। पृष्ठ फिर से खोलें।
error-lot-in-use = जब तक जगहें भरी या आरक्षित हैं, पार्किंग बंद नहीं की जा सकती।
error-vehicle-taken = यह गाड़ी पहले से किसी खाते में है।
error-too-many-vehicles = आप और गाड़ियाँ नहीं जोड़ सकते।
error-job-lives = ऐसा ही एक कार्य पहले से प्रतीक्षा में है या चल रहा है।
error-job-not-dead = यह कार्य विफल नहीं हुआ है।
error-second-factor-required = इसे अपने दूसरे चरण के कोड से पुष्टि करें।
error-wrong-code = कोड गलत है या पहले इस्तेमाल हो चुका है।
error-second-factor-missing = यहाँ प्रशासकों को दूसरे चरण की ज़रूरत है। पहले API से अपना चालू करें।

# फ़ील्ड
field-username = नाम
field-email = ईमेल पता
field-password = पासवर्ड
field-code = कोड
field-new-password = नया पासवर्ड
field-current-password = वर्तमान पासवर्ड
field-vehicle-number = गाड़ी का नंबर
field-plate = गाड़ी का नंबर
field-phone-number = फ़ोन नंबर
field-from = कब से
field-to = कब तक
field-until = कब तक
field-payment-method = भुगतान का तरीक़ा
field-transaction-id = लेन-देन संख्या
field-reason = कारण
field-location-name = नाम
field-address = पता
field-pincode = पिन कोड
field-price = प्रति घंटा शुल्क
field-number-of-slots = जगहों की संख्या
field-sure = पुष्टि
hint-password = कम से कम 8 अक्षर, जिनका अनुमान लगाना कठिन हो।
hint-transaction = आपके भुगतान ऐप या रसीद से।
hint-current = पता या नंबर बदलने के लिए ज़रूरी है।
hint-price = जैसे 65.00। चल रही पार्किंग का शुल्क नहीं बदलता।
hint-slots = भरी हुई जगहें ख़ाली होने पर हटाई जाएँगी।
hint-reason = यह ऑडिट लॉग में रखा जाता है।

# मुखपृष्ठ, लॉग इन
landing-title = निश्चिंत पार्किंग
landing-head = निकलने से पहले जगह खोजें
landing-lead = देखें कि अभी कहाँ जगह ख़ाली है, पहले से आरक्षित करें और जाते समय भुगतान करें। हर शुरू हुए घंटे के हिसाब से, बिना किसी छिपे शुल्क के।
landing-free = { $count ->
    [one] { $count } पार्किंग
   *[other] { $count } पार्किंग
} में अभी { $free ->
    [one] { $free } जगह
   *[other] { $free } जगहें
} ख़ाली।
landing-lots = अभी ख़ाली
landing-step-1 = खोजें
landing-step-1-text = नाम, सड़क या पिन कोड से खोजें।
landing-step-2 = पार्क करें
landing-step-2-text = तुरंत बुक करें या बाद के लिए आरक्षित करें।
landing-step-3 = जाएँ और भुगतान करें
landing-step-3-text = रसीद मेल से आती है।
login-title = लॉग इन
login-button = लॉग इन करें
login-forgotten = पासवर्ड भूल गए?
login-new = नए हैं?
login-code-hint = अपने ऑथेंटिकेटर ऐप से, या अपने रिकवरी कोड में से एक। पासवर्ड भी फिर से दर्ज करें।
confirm-title = कोड से पुष्टि करें
confirm-text = आपका सत्र पाँच मिनट तक पुष्ट माना जाएगा।
confirm-button = पुष्टि करें
register-title = खाता बनाएँ
register-button = खाता बनाएँ
register-known = पहले से खाता है?
forgot-title = पासवर्ड भूल गए
forgot-lead = अपने खाते का ईमेल पता भरें। हम नया पासवर्ड रखने का लिंक भेजेंगे।
forgot-button = लिंक भेजें
forgot-sent = यदि इस पते का कोई खाता है, तो हमने उस पर लिंक भेज दिया है। वह एक बार और 30 मिनट तक काम करता है।

# पार्किंग
find-title = पार्किंग खोजें
find-what = नाम, सड़क या पिन कोड
find-button = खोजें
find-sort = क्रम
sort-free = ख़ाली जगहें
sort-price = शुल्क
sort-name = नाम
find-none = कोई पार्किंग नहीं मिली
find-none-text = दूसरा नाम या पिन कोड आज़माएँ।
find-all = सभी पार्किंग दिखाएँ
find-count = { $count ->
    [one] { $count } पार्किंग,
   *[other] { $count } पार्किंग,
}
find-now = अभी की ख़ाली जगहें
find-in-window = चुने हुए समय की ख़ाली जगहें
lot-free = { $free ->
    [0] भरी हुई
    [one] { $free } जगह ख़ाली
   *[other] { $free } जगहें ख़ाली
}
lot-of = { $spots } में से { $free } ख़ाली
lot-full = अभी कोई जगह ख़ाली नहीं
lot-per-hour = प्रति घंटा
lot-quote = इस समय के लिए
lot-price = शुल्क
lot-now = अभी ख़ाली
lot-closed = बंद
book-title = अभी पार्क करें
book-text = पार्किंग तुरंत शुरू होती है। जाते समय हर शुरू हुए घंटे का भुगतान करें।
book-button = अभी जगह बुक करें
book-login = यहाँ पार्क करने के लिए लॉग इन करें
reserve-title = आरक्षित करें
reserve-text = अपने चुने हुए समय के लिए जगह रखें। पहुँचने से पहले बिना शुल्क रद्द कर सकते हैं।
reserve-button = आरक्षित करें
reserve-check = समय और शुल्क देखें

# मेरी पार्किंग
parking-title = मेरी पार्किंग
parking-none = आपकी गाड़ी अभी पार्क नहीं है
parking-none-text = पार्किंग खोजें और जगह बुक या आरक्षित करें।
parking-since = { $time } से
parking-spot = जगह
parking-so-far = अब तक का शुल्क
parking-hours = बिल के घंटे
parking-until = { $time } तक आरक्षित
parking-upcoming = आरक्षित
parking-window = { $from } से { $to } तक
spot-number = जगह { $number }
arrive-button = मैं पहुँच गया
cancel-button = आरक्षण रद्द करें
cancel-sure = यह आरक्षण रद्द करें?
leave-title = जाएँ और भुगतान करें
leave-text = आपकी पार्किंग अभी समाप्त होगी। भुगतान बाद में भी कर सकते हैं।
leave-button = अभी जाएँ
pay-title = भुगतान
pay-text = इसका भुगतान अभी बाक़ी है।
pay-button = भुगतान करें
extend-title = समाप्ति बदलें
extend-text = जब तक किसी और ने यह जगह आरक्षित नहीं की, आप और रुक सकते हैं।
extend-button = समाप्ति बदलें
method-upi = UPI
method-card = कार्ड
method-cash = नक़द
state-upcoming = आरक्षित
state-active = पार्क है
state-completed = समाप्त
state-cancelled = रद्द
state-expired = समय बीता
payment-unpaid = बकाया
payment-paid = भुगतान हुआ
payment-waived = माफ़
payment-refunded = वापस किया
reservation-title = क्र॰ { $id }
reservation-from = कब से
reservation-to = कब तक
reservation-quote = इस समय का शुल्क
reservation-bill = कुल
reservation-paid = भुगतान
reservation-declared = अभी जाँचा नहीं गया
reservation-waived = माफ़ी का कारण

# इतिहास और आँकड़े
history-none = अभी कुछ नहीं
history-none-text = आपकी पार्किंग और रसीदें यहाँ दिखेंगी।
figures-none = अभी कोई आँकड़े नहीं
figures-none-text = पहली पार्किंग के बाद यहाँ चार्ट दिखेंगे।
figures-bookings = पार्किंग
figures-hours = कुल घंटे
figures-spent = कुल बिल
figures-outstanding = बकाया
figures-lots = पसंदीदा पार्किंग
chart-spending = महीनेवार भुगतान
chart-arrivals = महीनेवार पार्किंग
chart-weekdays = दिनवार पार्किंग
chart-revenue-days = पिछले 30 दिनों की आय
chart-revenue-months = महीनेवार आय
chart-reservations = आरक्षण
chart-empty = अभी दिखाने को कुछ नहीं।
chart-table = तालिका में दिखाएँ
chart-period = कब
chart-value = मान

# निर्यात
exports-title = निर्यात
exports-text = अपनी सारी पार्किंग फ़ाइल के रूप में डाउनलोड करें। तैयार होने पर हम मेल भी करते हैं।
exports-format = प्रारूप
format-xlsx = Excel फ़ाइल (XLSX)
format-csv = प्रोग्रामों के लिए टेक्स्ट (CSV)
exports-button = फ़ाइल बनाएँ
exports-none = अभी कोई फ़ाइल नहीं
exports-none-text = आपकी बनाई फ़ाइलें कुछ समय यहाँ रहती हैं।
export-of = { $time } का निर्यात
export-rows = { $count ->
    [one] { $count } पार्किंग
   *[other] { $count } पार्किंग
}
export-progress = प्रगति
export-wait = इसमें आम तौर पर कुछ सेकंड लगते हैं।
export-reload = फिर से लोड करें
export-cancel = रद्द करें
export-download = डाउनलोड
export-expires = फ़ाइल { $time } तक रखी जाएगी।
export-ended = डाउनलोड के लिए कोई फ़ाइल नहीं है।
stage-underway = बन रही है
stage-ready = तैयार
stage-expired = समय बीता
stage-failed = विफल
stage-cancelled = रद्द

# प्रोफ़ाइल
profile-name = आपका नाम
profile-vehicles = गाड़ियाँ
profile-contact = ईमेल और फ़ोन
profile-unverified = पुष्टि बाक़ी है: हमारा स्वागत मेल देखें
profile-pending = { $email } पर भेजा गया लिंक खोलने के बाद यह पता मान्य होगा।
profile-password = पासवर्ड
profile-password-button = पासवर्ड बदलें
profile-mails = ईमेल
profile-sessions = आप कहाँ लॉग इन हैं
vehicles-none = अभी कोई गाड़ी नहीं।
vehicle-add = गाड़ी जोड़ें
vehicle-sure = यह गाड़ी हटाएँ?
mails-reminders = रोज़ के रिमाइंडर
mails-reports = मासिक रिपोर्ट
mails-always = रसीदें और पुष्टियाँ हमेशा भेजी जाती हैं।
session-current = यह डिवाइस
session-begun = { $time } से
session-unknown = अज्ञात प्रोग्राम
session-end = वहाँ से लॉग आउट करें

# क्या हुआ
done-logout = आप लॉग आउट हो गए हैं।
done-booked = आपकी पार्किंग शुरू हो गई है।
done-reserved = आपकी जगह आरक्षित है।
done-arrived = स्वागत है। आपकी पार्किंग शुरू हो गई है।
done-left = फिर मिलेंगे, सुरक्षित चलाएँ। यह रहा आपका बिल।
done-paid = धन्यवाद। भुगतान हो गया।
done-extended = समाप्ति बदल दी गई।
done-cancelled = आरक्षण रद्द हो गया।
done-name = आपका नाम सहेजा गया।
done-contact = आपकी संपर्क जानकारी सहेजी गई।
done-password = आपका पासवर्ड बदल गया। बाक़ी सब जगह आप लॉग आउट हो गए हैं।
done-mails = आपकी पसंद सहेजी गई।
done-vehicle = गाड़ी जोड़ी गई।
done-vehicle-removed = गाड़ी हटाई गई।
done-session = वह सत्र समाप्त हो गया।
done-lot-created = पार्किंग खुल गई है।
done-lot-changed = पार्किंग बदल दी गई।
done-lot-closed = पार्किंग बंद हो गई।
done-waived = बिल माफ़ कर दिया गया।
done-requeued = कार्य अगली कोशिश की प्रतीक्षा में है।
done-paused = रोका गया।
done-resumed = फिर शुरू किया गया।
done-started = अब चल रहा है।
done-confirmed = पुष्टि हो गई। जो करना चाहते थे, वह दोहराएँ।

# संचालन
admin-today = आज
admin-lots = पार्किंग
admin-users = उपयोगकर्ता
admin-reports = रिपोर्ट
admin-unpaid = बकाया
admin-jobs = कार्य
admin-deliveries = संदेश
admin-audit = ऑडिट लॉग
admin-health = स्थिति
today-revenue = आज की आय
today-month = इस महीने की आय
today-outstanding = बकाया बिल
today-parked = अभी पार्क
today-reserved = आरक्षित
today-occupancy = भराव
today-of = { $spots } में से { $taken }
today-lots = पार्किंग के अनुसार भराव
warning-redis = Redis उपलब्ध नहीं है। पृष्ठ धीमे हैं और मेल रुके हैं।
warning-dead = { $count ->
    [one] { $count } कार्य विफल हुआ है
   *[other] { $count } कार्य विफल हुए हैं
}
warning-paused = { $count ->
    [one] { $count } कतार रुकी है
   *[other] { $count } कतारें रुकी हैं
}
warning-full = { $count ->
    [one] { $count } पार्किंग भरी है
   *[other] { $count } पार्किंग भरी हैं
}
warning-unpaid = कुछ बिल बकाया हैं
lots-none = अभी कोई पार्किंग नहीं
lots-none-text = पहली पार्किंग खोलें, फिर लोग पार्क कर सकते हैं।
lot-new = नई पार्किंग
lot-close-title = पार्किंग बंद करें
lot-close-text = पुराने बिलों में नाम रहेगा। बंद पार्किंग फिर से नहीं खोली जा सकती।
lot-close-sure = हाँ, हमेशा के लिए बंद करें
lot-close-button = पार्किंग बंद करें
users-search = पूरा नाम या ईमेल पता
users-none = कोई नहीं मिला
users-none-text = नाम या पता पूरा होना चाहिए।
users-all = सभी उपयोगकर्ता दिखाएँ
users-role = भूमिका
users-since = कब से
users-last = पिछला लॉग इन
users-unverified = पुष्टि बाक़ी
role-admin = व्यवस्थापक
role-user = चालक
user-number = उपयोगकर्ता { $id }
reports-revenue = आय
reports-verified = जाँची हुई
reports-declared = चालकों द्वारा बताई गई
reports-completed = पार्किंग
reports-drivers = चालक
reports-methods = तरीक़े के अनुसार भुगतान
unpaid-none = सब भुगतान हो चुका है
unpaid-none-text = बिना भुगतान समाप्त हुई पार्किंग यहाँ दिखेगी।
waive-title = माफ़ करें
waive-button = बिल माफ़ करें
jobs-queues = कतारें
jobs-schedules = समय-सारणी
jobs-running = चल रहे हैं
jobs-running-none = कोई कार्य नहीं चल रहा।
jobs-dead = विफल
jobs-dead-none = कोई विफल कार्य नहीं
jobs-dead-none-text = जो कार्य अंततः विफल हों, वे त्रुटि के साथ यहाँ दिखेंगे।
jobs-active = सक्रिय
jobs-paused = रुकी हुई
jobs-pause = रोकें
jobs-resume = फिर शुरू करें
jobs-run = अभी चलाएँ
jobs-requeue = फिर कोशिश करें
jobs-waiting = { $count } प्रतीक्षा में
jobs-running-count = { $count } चल रहे
jobs-oldest = सबसे पुराना { $seconds } से॰ से बाक़ी
jobs-next = अगला { $time }
jobs-last = पिछला { $time }
jobs-attempt = कोशिश { $attempt }, कुल { $most }
job-queued = प्रतीक्षा में
job-running = चल रहा
job-succeeded = सफल
job-failed = विफल
job-cancelled = रद्द
deliveries-state = स्थिति
deliveries-all = सभी
deliveries-none = कोई संदेश नहीं
deliveries-none-text = मेल और एसएमएस अपनी स्थिति के साथ यहाँ दिखेंगे।
deliveries-kind = संदेश
deliveries-channel = माध्यम
delivery-sending = भेजा जा रहा
delivery-sent = भेजा गया
delivery-refused = अस्वीकृत
delivery-ambiguous = अस्पष्ट
column-time = समय
column-user = उपयोगकर्ता
column-details = विवरण
audit-none = अभी कुछ नहीं
audit-none-text = व्यवस्थापक जो करते हैं वह यहाँ दिखता है और बदला नहीं जा सकता।
audit-action = क्रिया
audit-object = वस्तु
audit-actor = किसने
service-database = डेटाबेस
service-redis = Redis
health-ok = ठीक
health-away = उपलब्ध नहीं
health-data = डेटा के नियम
health-data-text = जाँचता है कि कोई जगह दो बार न दी गई हो, हर बिल सही हो, आदि। बड़े डेटाबेस में समय लगता है।
health-check = अभी जाँचें
health-broken = { $count } टूटे
health-version = संस्करण
health-address = सार्वजनिक पता
health-zone = समय क्षेत्र
health-currency = मुद्रा
