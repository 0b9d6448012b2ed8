"""Mobile and broadband."""

from policykit.embedded.corpus.domain import Breach, Domain, Intent, Thread, Tone

_USUAL = (Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.REFUSAL, Breach.REFUSAL, Breach.NUMBER)

_BILLING = Intent(
    category="billing",
    team="billing",
    priorities=("normal", "high"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.QUESTION,
            "Bill for {month} is higher than usual",
            (
                "Why is my {month} bill {amount}? It is [much |]higher than usual.",
                "What is the charge of {amount} on my [last |]bill?",
            ),
            (
                "Your bill for {month} includes {amount} for [calls abroad|extra data|the first month of your plan].",
                "The charge of {amount} is [a one-off fee for the new {device}|for data that you used in {month}].",
                "I have taken {amount} off your next bill.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Customer charged twice, refund {amount}",
            (
                "You have charged me twice for [the {plan} plan|{month}].",
                "You took {amount} from my account twice. I want it back.",
            ),
            (
                "You were charged twice by mistake, and [the {amount}|the second payment] will be [refunded|returned] "
                "within {days}.",
                "The second payment was returned on {date}.",
            ),
        ),
    ),
)
_NETWORK = Intent(
    category="technical",
    team="network",
    priorities=("high", "urgent"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.TROUBLE,
            "No signal in {town} since {day}",
            (
                "I have had no [signal|internet] in {town} since {day}.",
                "When will the outage in {town} be fixed?",
            ),
            (
                "There is [an outage|maintenance work] in {town}, and it should be [over|fixed] by {time}[ on {day}|].",
                "Our engineers are working in {town}, and we will send you a text when it is fixed.",
                "For every day without service you get £& back.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "The {device} keeps losing the connection",
            (
                "My {device} keeps [losing the connection|restarting].",
                "The internet is [very slow|down] [every evening|again|since this morning].",
            ),
            (
                "Please [switch the {device} off and on again|restart the {device}] and wait two minutes.",
                "An engineer can [visit you|come] on {day} between [8 and 12|12 and 4].",
                "The line test shows [a fault near your home, so I have booked an engineer|no fault on our side, so we "
                "will send you a new {device}].",
            ),
        ),
    ),
)
_CONTRACT = Intent(
    category="cancellation",
    team="retention",
    priorities=("normal",),
    breaches=(Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.REFUSAL),
    threads=(
        Thread(
            Tone.REQUEST,
            "Customer wants to cancel the {plan} plan",
            ("I want to cancel my {plan} plan.", "When does my contract end? I would like to cancel it."),
            (
                "Your contract [ends|runs until] {date}, and the notice period is [one month|30 days].",
                "To cancel, [reply to this message with the word STOP|use the form in the app], and we will confirm it "
                "within {days}.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Customer compares our price with {rival}",
            (
                "{rival} offers me the same plan for {amount}. Can you match it?",
                "Can I change from the {plan} plan to something cheaper?",
                "Why should I stay with you and not go to {rival}?",
            ),
            (
                "You can [change|switch] to [a smaller|the {plan}] plan in the app, and it starts with the next bill.",
                "I can offer you the {plan} plan for £&# a month[ for the next {few} months|].",
                "With us you keep your number and get &# GB more data.",
            ),
        ),
    ),
)
_ROAMING = Intent(
    category="technical",
    team="mobile",
    priorities=("low", "normal"),
    breaches=(Breach.REFUSAL, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.QUESTION,
            "Question about roaming in {country}",
            (
                "Can I use my {plan} plan in {country}?",
                "How much does data cost in {country}?",
            ),
            (
                "In {country} your {plan} plan includes &# GB of data.",
                "In {country} data costs £& a day, and we send you a text when [half|most] of it is used.",
                "Calls and texts in {country} are [free|included in the {plan} plan].",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Phone does not work in {country}",
            ("My phone does not work in {country}[ since {day}|].", "I am in {country} and have no signal."),
            (
                "Please switch on roaming in the settings of your phone and restart it.",
                "Our partner in {country} has a fault, and it should be fixed by {time}.",
            ),
        ),
    ),
)
_ORDERS = Intent(
    category="delivery",
    team="logistics",
    priorities=("normal", "normal", "high"),
    breaches=(Breach.NUMBER, Breach.REFUSAL, Breach.REFUSAL, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.TROUBLE,
            "New {device} not delivered",
            ("My new {device} has not arrived[ yet|]. The order number is {reference}.",),
            (
                "Your {device} [left our warehouse|was sent] on {date} and should arrive [on {day}|within {days}].",
                "If the {device} is not there by {day}, we will send you another one.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "The {device} arrived broken",
            ("The {device} that you sent [is broken|does not switch on].",),
            (
                "We will [replace the {device}|send you a new {device}] free of charge.",
                "Please keep the box, and the driver will take the old {device} back on {day}.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer needs help with a new SIM card",
            ("How do I activate my new SIM card?", "My new SIM card came today. What do I have to do?"),
            (
                "To activate the SIM card, enter the [eight|ten] digits on its back in the app.",
                "The new SIM card works [after one hour|from {time} today].",
            ),
        ),
    ),
)
TELECOM = Domain(
    name="telecom",
    slots={
        "plan": ("Smart 10", "Smart 30", "Unlimited", "Family Four", "Student", "Basic"),
        "device": ("router", "phone", "tablet", "modem", "TV box"),
        "town": ("Leeds", "Bristol", "Cardiff", "Dundee", "Norwich", "York"),
        "country": ("Spain", "France", "Turkey", "Switzerland", "Norway", "Canada"),
        "rival": ("Acme Mobile", "Acme Mobile", "Globex", "Northwind"),
    },
    intents=(_BILLING, _NETWORK, _CONTRACT, _ROAMING, _ORDERS),
)
