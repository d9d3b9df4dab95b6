"""The words of headers by subject, in lower case, and the most common given names."""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A person, contact data, or free text.
PERSONAL = _words(
    "name names first last middle firstname lastname fullname surname nickname initials person people contact "
    "contacts customer customers client clients caller callers callee homeowner owner tenant resident occupant "
    "buyer purchaser guest patient member user username login agent agents rep representative tech technician "
    "technicians employee employees staff salesperson dispatcher operator assigned assignee handled answered "
    "recipient sender spouse company email emails mail phone phones telephone tel mobile cell fax sms text "
    "whatsapp address addresses street house apt apartment unit suite lot latitude longitude lat lng lon geo gps "
    "coordinates birth birthday dob age gender sex ssn passport license licence card iban account notes note "
    "comment comments message messages memo remark remarks description details detail subject body question "
    "answer feedback review reviews transcript summary recording recordings voicemail url urls link links website "
    "ip cookie gclid fbclid signature photo photos image images attachment attachments instructions directions "
    "issue problem complaint"
)
# Things whose names are not personal: a campaign name, a service description.
CAMPAIGN_WORDS = _words(
    "campaign campaigns ad ads adset adgroup group keyword service services product products category categories "
    "vendor channel source network device market region form page plan brand appliance trade"
)
NAME_WORDS = _words("name names description")
# Terms of the trade: statuses, kinds, places, times.
HARMLESS = _words(
    "status state stage type kind category categories class campaign ad adset adgroup group keyword channel "
    "source medium network device service services trade appliance brand model zip zipcode postal postcode city "
    "town county country region market territory currency language plan priority outcome result disposition "
    "reason billing delivery objective placement platform day weekday month week year quarter hour"
)
PHONE_WORDS = _words("phone phones telephone tel mobile cell fax callerid whatsapp")
GIVEN_NAMES = _words(
    "aaron adam alan albert alex alexander alice amanda amy andrea andrew angela ann anna anne anthony arthur "
    "ashley barbara ben benjamin betty bill bob brandon brenda brian bruce carl carlos carol carolyn catherine "
    "charles chris christina christine christopher cynthia cy dan daniel david deborah debra denise dennis diana "
    "diane donald donna dorothy doug douglas ed edward elizabeth emily emma eric ethan eugene evelyn frances "
    "frank fred gary george gerald gloria grace greg gregory hannah harold harry heather helen henry ivan jack "
    "jacob jacqueline jake james jane janet janice jason jean jeff jeffrey jennifer jeremy jerry jessica jim joan "
    "joe joel john johnny jon jonathan jordan jose joseph joshua joyce juan judith judy julia julie justin karen "
    "kate katherine kathleen kathryn keith kelly ken kenneth kevin kim kimberly kyle larry laura lauren lawrence "
    "lee leo linda lisa liz louis luis madison margaret maria marie marilyn mark martha martin mary matt matthew "
    "megan melissa michael michelle miguel mike nancy natalie nathan nicholas nick nicole noah olga oleg olivia "
    "pam pamela pat patricia patrick paul peter philip rachel ralph ray raymond rebecca richard rob robert roger "
    "ron ronald rose roy russell ruth ryan sam samantha samuel sandra sara sarah scott sean sergei sharon shirley "
    "sophia stacy stephanie stephen steve steven sue susan tammy ted teresa terry theresa thomas tim timothy tina "
    "todd tom tony tyler victor victoria vincent virginia vladimir walter wayne wendy will william willie zachary"
)
MONEY = _words(
    "price cost costs amount fee fees total charge charged charges spend spent budget revenue paid value refund "
    "refunded balance subtotal tax tip discount"
)
COST = _words("price cost fee charge charged spend spent amount")
ID_ANYWHERE = _words("id ids uuid guid ref reference key #")
# An id only as the last word: "Job number", not "Number of clicks".
ID_AT_THE_END = _words("no number num nr")
CODES = _words("zip zipcode postal postcode code")
# Days on which a row came in; below, other days that it may have.
WHEN = _words(
    "received created date time lead submitted when day at on month requested contact contacted start starts started"
)
NOT_WHEN = _words(
    "end ends ended due expires expiry updated modified last closed paid refunded cancelled canceled completed activity"
)
BIRTH = _words("birth birthday birthdate dob")
# Things that recur in the next export with the same id, which therefore is no key of rows.
REPEATING_WORDS = _words(
    "campaign campaigns ad ads adset adgroup group keyword creative account customer client contact company agent "
    "technician tech employee user member location branch store office product item service category provider "
    "vendor partner affiliate region zone area market page form device publisher network line phone tracking zip "
    "department team business franchise brand model session"
)
# The usual subjects of a row.
ROWS = _words(
    "lead job order booking request ticket call transaction payment invoice charge claim referral appointment "
    "opportunity case quote estimate inquiry enquiry submission record unique confirmation row"
)
AD_WORDS = _words("impressions impr clicks click ctr cpc cpm reach")
# Jobs and payments of a CRM.
JOB = _words("job jobs workorder wo ticket")
SCHEDULED = _words("scheduled schedule appointment visit completed completion dispatched start")
TOTAL = _words("total revenue invoice invoiced subtotal")
TECHNICIAN = _words("technician technicians tech techs assigned employee employees")
PAID = _words("payment payments transaction charge receipt refund refunded tender card")
