"""The front desk of a clinic and its health insurer. No medical advice: appointments, papers, cover."""

from policykit.embedded.corpus.domain import Breach, Domain, Intent, Thread, Tone

_USUAL = (Breach.REFUSAL, Breach.REFUSAL, Breach.NUMBER, Breach.DISPARAGEMENT)

_APPOINTMENTS = Intent(
    category="other",
    team="front desk",
    priorities=("normal", "normal", "high"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.REQUEST,
            "Move the appointment with {doctor} to {day}",
            (
                "Can I [move|change] my appointment with {doctor} to {day}?",
                "I cannot come on {date}. Is {day} possible?",
            ),
            (
                "I have [moved|changed] your appointment to {day}, {date}, at {time}.",
                "{doctor} is free on {day} at {time}.",
                "Please arrive [ten|fifteen] minutes early.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Patient needs an appointment in {department}",
            (
                "I need an appointment in {department}[ as soon as possible|].",
                "When is the next free appointment with {doctor}?",
            ),
            (
                "{doctor} [is free|has a free appointment] on {day} at {time}.",
                "The next free appointment in {department} is on {date}.",
                "Please bring your [insurance card|referral letter].",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Patient cancels the appointment on {date}",
            ("I have to cancel my appointment on {date}.",),
            (
                "Your appointment on {date} is cancelled, and there is no fee.",
                "If you like, {doctor} can see you on {day} at {time} instead.",
            ),
        ),
    ),
)
_RESULTS = Intent(
    category="other",
    team="laboratory",
    priorities=("normal", "high"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.QUESTION,
            "Patient asks for the result of the {test}",
            ("Are the results of my {test} ready?", "How long does the result of the {test} take?"),
            (
                "The result of your {test} will be ready [on {day}|within {days}].",
                "{doctor} will [call you|discuss the result with you] on {day} at {time}.",
                "You can [see|download] the report in the patient portal[ under Results|].",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Send the {test} to {doctor}",
            ("Can you send the {test} to {doctor}?", "{doctor} has not received my {test}."),
            (
                "We have sent the {test} to {doctor}[ today|].",
                "The report of the {test} goes to {doctor} on {day}.",
            ),
        ),
    ),
)
_INSURANCE = Intent(
    category="billing",
    team="claims",
    priorities=("normal", "high"),
    breaches=(Breach.NUMBER, Breach.NUMBER, Breach.REFUSAL, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.QUESTION,
            "Patient asks whether {cover} pays for the {test}",
            ("Does my {cover} cover pay for the {test}?", "Will the {cover} cover pay for {care}?"),
            (
                "Your {cover} cover pays &0 percent of the costs, up to £&00 a year.",
                "With the {cover} cover you [pay £&# yourself|need a referral letter].",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Claim for {amount} refused, patient asks why",
            ("My claim for {amount} was refused. Why?", "Why have you not paid my claim for {care}?"),
            (
                "The claim [was refused because the referral is missing|is open, since one page is missing].",
                "Please upload the bill again, and we will look at the claim within {days}.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Patient wants to claim {amount} for {care}",
            ("How do I claim {amount} for {care}?", "Where do I send the bill for {care}?"),
            (
                "Please upload the bill in the portal, and you get the money within {days}.",
                "Bills can be sent in until {date}.",
            ),
        ),
    ),
)
_RECORDS = Intent(
    category="privacy_request",
    team="front desk",
    priorities=("low", "normal"),
    breaches=(Breach.NUMBER, Breach.NUMBER, Breach.REFUSAL),
    threads=(
        Thread(
            Tone.REQUEST,
            "Change of address or phone number",
            (
                "I have [moved|a new phone number]. Can you change my record?",
                "Which identity number do you have for me?",
            ),
            (
                "I have [changed|checked] your record, and it is valid from today.",
                "You can see [your record|all that we hold about you] in the patient portal.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Patient needs a copy of a bill",
            ("I need a copy of my [bill|report] for my insurer.",),
            (
                "The copy is in the patient portal, and we can also [post it|print it for you].",
                "I have sent the copy to your email address[ today|].",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "New patient asks what to bring",
            ("I am a new patient. What do I need to bring?", "It is my first visit on {date}. What should I bring?"),
            (
                "Please bring [a passport or identity card|your insurance card] and a list of your medicines.",
                "New patients fill in a short form [online|at the front desk], which takes ten minutes.",
            ),
        ),
    ),
)
_COMPLAINTS = Intent(
    category="complaint",
    team="patient care",
    priorities=("high",),
    breaches=(Breach.REFUSAL, Breach.REFUSAL, Breach.DISPARAGEMENT, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.TROUBLE,
            "Patient waited too long for {doctor}",
            (
                "I waited [an hour|two hours] for {doctor} on {day}.",
                "Nobody [answers the phone|calls back] in {department}.",
            ),
            (
                "We had {few} colleagues off sick that day[, and I apologise|].",
                "I have asked {department} to call you [today|on {day} before {time}].",
                "You can give us your feedback in the form, and we answer within {days}.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Patient compares us with {rival}",
            ("Why should I come to you and not to {rival}?", "{rival} can see me this week. Can you?"),
            (
                "{doctor} can see you on {day} at {time}.",
                "Our doctors [take their time|have worked here for many years], and most tests are done in house.",
            ),
        ),
    ),
)
CLINIC = Domain(
    name="clinic",
    slots={
        "doctor": ("Dr Patel", "Dr Novak", "Dr Meyer", "Dr Osei", "Dr Lindqvist"),
        "department": ("cardiology", "dermatology", "the dental clinic", "physiotherapy", "the eye clinic"),
        "test": ("blood test", "X-ray", "MRI scan", "eye test", "allergy test"),
        "care": ("glasses", "physiotherapy", "a dental visit", "a vaccination"),
        "cover": ("Basic", "Family", "Plus", "Dental"),
        "rival": ("Initech", "Globex"),
    },
    intents=(_APPOINTMENTS, _RESULTS, _INSURANCE, _RECORDS, _COMPLAINTS),
)
