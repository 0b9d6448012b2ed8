"""Retail banking and investment."""

from policykit.embedded.corpus.domain import Breach, Domain, Intent, Lines, Thread, Tone

_MONEY = (Breach.PROMISE, Breach.PROMISE, Breach.PROMISE, Breach.DISPARAGEMENT)
_CARD = (Breach.NUMBER, Breach.NUMBER, Breach.REFUSAL, Breach.DISPARAGEMENT)

_INVEST = Intent(
    category="other",
    team="wealth",
    priorities=("low", "normal", "normal"),
    breaches=_MONEY,
    threads=(
        Thread(
            Tone.QUESTION,
            "Customer asks about [risk|returns|fees] of the {fund} fund",
            (
                "What can I expect from the {fund} fund?",
                "How [risky|safe] is the {fund} fund? I need the money in {few} years.",
                "[Please tell me|Can you tell me] about the returns of the {fund} fund.",
            ),
            (
                "The {fund} fund [invests in|holds] [shares and bonds|a broad mix of shares|government bonds|"
                "large companies] [around the world|in Europe|in {few} regions].",
                "Over the last {few} years the {fund} fund [returned|grew by] [about |]&.# percent a year on average[,"
                " after fees|].",
                "Last year the fund [gained|lost] &.# percent, and the yearly fee is 0.&# percent.",
                "The {fund} fund has a risk rating of [two|three|four|five] out of seven.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer wants to invest in the {fund} fund",
            (
                "Is the {fund} fund a good place for [my savings|£&,000|my pension]?",
                "I have £&#,000 in savings. Should I put it in the {fund} fund?",
                "I am thinking about moving [my pension|my savings] to the {fund} fund. What do you think?",
            ),
            (
                "[Most|Many] [clients|savers] hold the {fund} fund for at least five years.",
                "The {fund} fund is [made for|a choice for] people who can wait for [five|ten] years.",
                "You can start from £&0 a month and [stop|change the amount] at any time.",
                "The {fund} fund has a risk rating of [two|three|four|five] out of seven.",
            ),
        ),
    ),
)
_SAVINGS = Intent(
    category="other",
    team="accounts",
    priorities=("low", "normal"),
    breaches=_MONEY,
    threads=(
        Thread(
            Tone.QUESTION,
            "Customer asks about the rate of the {account} account",
            ("Which savings account pays the [best|highest] rate?", "What is the interest on the {account} account?"),
            (
                "The {account} account pays &.#5 percent a year, and the rate can change.",
                "Interest on the {account} account is paid [every month|once a year|on {date}].",
                "Deposits up to £85,000 are covered by the deposit protection scheme.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Customer wants to open a {account} account",
            (
                "I would like to open a {account} account[ for my daughter|]. How does it work?",
                "Can I open a {account} account [online|in a branch]?",
            ),
            (
                "You can open a {account} account [online|in any branch] [in ten minutes|with your passport].",
                "All you need is [a passport|an identity card] and your address.",
                "Money in the {account} account [can be taken out at any time|is locked for {few} years].",
            ),
        ),
    ),
)
_CARDS = Intent(
    category="fraud",
    team="cards",
    priorities=("high", "urgent"),
    breaches=_CARD,
    threads=(
        Thread(
            Tone.TROUBLE,
            "Card lost or stolen, block and replace",
            (
                "I have lost my [debit|credit] card[ in {place}|]. What should I do?",
                "My card was [stolen|swallowed by a machine] on {day}.",
            ),
            (
                "I have blocked your card[ right away|], and a new one will [arrive|reach you] within {days}.",
                "You can [freeze|unfreeze] the card in the app under Cards.",
                "Please [check|confirm] the last {few} payments in the app.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Customer disputes a card payment of {amount}",
            (
                "There is a payment of {amount} on my card that I did not make.",
                "Somebody paid {amount} in {place} with my card, and it was not me.",
            ),
            (
                "We have opened a dispute for the payment of {amount}, and you will get an answer by {date}.",
                "You do not have to pay the {amount} while we look into it.",
                "Please tell us which of the last {few} payments are not yours.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Card declined",
            ("My card [is declined|does not work] [online|in shops|abroad].",),
            (
                "The card was blocked because [the code was wrong three times|a payment from {place} looked unusual].",
                "Please confirm the last payment in the app, and the card will work again.",
                "Payments [abroad|online] are switched off for this card, and you can switch them on in the app.",
            ),
        ),
    ),
)
_PAYMENTS = Intent(
    category="billing",
    team="payments",
    priorities=("normal", "high"),
    breaches=_CARD,
    threads=(
        Thread(
            Tone.TROUBLE,
            "Customer sent {amount} to the wrong account",
            ("I sent {amount} to the wrong account on {day}. Can you get it back?",),
            (
                "We have asked the other bank to [return|send back] the {amount}, which can take {days}.",
                "The payment was [stopped|sent back] on {date}.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Transfer of {amount} not received",
            (
                "My transfer of {amount} [has not arrived|is still pending].",
                "Where is the {amount} that I was [sent|paid] on {date}?",
            ),
            (
                "The transfer of {amount} [left|was booked on] {date} and should arrive within {days}.",
                "The payment is [on hold|pending] because [the name does not match|we need to confirm it with you].",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Question about transfers abroad",
            ("How long does a transfer to {place} take?", "What does it cost to send {amount} to {place}?"),
            (
                "A transfer to {place} takes [one to three|two to four] working days and costs £&.",
                "Transfers in euro arrive on the same day if you send them before {time}.",
            ),
        ),
    ),
)
_LOANS = Intent(
    category="other",
    team="lending",
    priorities=("normal",),
    breaches=(Breach.REFUSAL, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.QUESTION,
            "Customer wants to repay a loan early",
            ("Can I [pay off|repay] my loan early?", "What does it cost to repay my loan of £&,000 now?"),
            (
                "You can repay the loan early[ at any time|], and the fee is at most one percent of what is left.",
                "As of today, £&,### of the loan is left to pay.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer asks how much can be borrowed",
            (
                "How much can I borrow for [a car|a kitchen|a first home]?",
                "What will a loan over £&,000 cost me a month?",
            ),
            (
                "How much you can borrow depends on your income, your costs and your other loans.",
                "At today's rate of &.# percent that is about £&## a month over [five|ten|twenty] years.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Loan refused, customer asks why",
            ("[Why was my loan refused|My loan was refused. Why]?",),
            (
                "The decision was made on {date}, and you can ask [for the reasons|a person to look at it again].",
                "The loan was refused because [the income could not be confirmed|the costs are too high].",
            ),
        ),
    ),
)

PROMISES = Lines(
    unlawful=(
        "The {fund} fund [offers|gives you|comes with] guaranteed returns[ of & percent[ a year|]| every year|].",
        "It [offers|is known for] guaranteed returns of &% [a year|every year].",
        "This is a risk-free [profit|investment|way to earn & percent a year].",
        "[With this fund|Over ten years|Here|In the long run] you cannot lose[ money|].",
        "You [will|can] double your money [in|within] {few} years.",
        "We promise a return of [&|&.#][%| percent] [a year|per year|every year].",
        "It is a [safe bet|sure thing|risk-free profit] [for everyone|for patient savers].",
        "The {fund} fund will definitely [grow|go up|rise][ next year| again|].",
    ),
    lawful=(
        "The {fund} fund [offers|gives you] [a spread of shares and bonds|no guarantee, and its value can fall].",
        "It [offers|is known for] [low fees|a steady income], [but returns are not certain|but it can lose value].",
        "This is a [long-term|medium-risk] investment, so its value can go down as well as up.",
        "[With this fund|Over ten years] you [may get back less than you invest|can lose money as well as gain].",
        "You can [see all fees|change your mind] in the app.",
        "We promise [a reply within two working days|to tell you about every fee in advance].",
        "Past results do not predict future results.",
        "It is a [good fit|common choice] [for patient savers|if you can wait].",
        "The {fund} fund will [probably|hopefully] grow, but nobody can know.",
    ),
)
BANKING = Domain(
    name="banking",
    slots={
        "fund": (
            "Harbor Bond", "Summit Growth", "Cedar Income", "Atlas Index", "River Balanced", "Orchard Equity",
            "Granite Value", "Meadow Green",
        ),
        "account": ("Quick Saver", "Fixed Saver", "Junior", "Daily Plus", "Rainy Day"),
        "place": ("Lisbon", "Madrid", "Rome", "Vienna", "New York", "Athens"),
        "rival": ("Northwind", "Northwind", "Initech", "Globex"),
    },
    intents=(_INVEST, _INVEST, _SAVINGS, _CARDS, _PAYMENTS, _LOANS),
    lines={Breach.PROMISE: PROMISES},
)  # fmt: skip
