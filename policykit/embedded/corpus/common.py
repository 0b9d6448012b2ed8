"""What every domain shares: people, dates, money, greetings, and the sentences that break a policy anywhere."""

from policykit.embedded.corpus.domain import Breach, Lines, Tone
from policykit.embedded.corpus.template import Slots

IBANS = (
    "GB## NWBK &### #### #### ##",
    "DE## &### #### #### #### ##",
    "FR## &### #### #### #### #### ###",
    "GB##NWBK&#############",
    "ES## &### #### #### #### ####",
)

SLOTS: Slots = {
    "name": (
        "Maria", "Omar", "Lena", "Victor", "Aisha", "Tomas", "Grace", "Kenji", "Nadia", "Pavel", "Ruth", "Samir",
        "Ingrid", "Diego", "Helen", "Mateo", "Yara", "Felix", "Nora", "Karim", "Zoë", "Renée", "André", "Jürgen",
        "Sofía", "Łukasz", "Priya", "Daniel", "Amara", "Hannah",
    ),
    "agent": (
        "Lena", "Marcus", "Priya", "Tom", "Sarah", "Ines", "Oliver", "Chloe", "Ben", "Fatima",
    ),
    "day": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"),
    "month": ("January", "March", "April", "May", "June", "July", "September", "October", "November"),
    "date": ("& {month}", "1# {month}", "2& {month}"),
    "time": ("9:[00|15|30]", "10:[00|30|45]", "11:[00|15|30]", "2:[00|30|45] pm", "4:[00|15|30] pm"),
    "few": ("two", "three", "four", "five"),
    "days": ("two working days", "three working days", "five working days", "24 hours", "48 hours", "a week"),
    "amount": ("£&#.#0", "£&#", "€&#.#0", "€&##", "$&#.##", "$&##", "£&##.00"),
    "iban": IBANS,
    "reference": ("[CS|TK|RF]-&####", "&### ###"),
}  # fmt: skip

_THANKS_NAMED = (
    "Dear {name}, [thank you|thanks] for [your message|getting in touch|contacting us].",
    "[Hello|Hi] {name}, [thank you|thanks] for [your message|getting in touch|writing to us].",
    "[Thank you|Thanks] for [reaching out|your message], {name}.",
)
_THANKS = (
    "[Thank you|Thanks] for [your message|getting in touch|contacting us].",
    "[Hello|Good morning|Good afternoon], [thank you|thanks] for [your message|writing to us].",
)
OPENERS_NAMED: dict[Tone, tuple[str, ...]] = {
    Tone.QUESTION: (*_THANKS_NAMED, "[Hello|Hi|Good morning|Good afternoon] {name}, that is a good question."),
    Tone.REQUEST: (*_THANKS_NAMED, "[Of course|Certainly], {name}.", "[Of course|Certainly], {name}, I can do that."),
    Tone.TROUBLE: (*_THANKS_NAMED, "I am [very |]sorry [to hear that|for the trouble], {name}."),
}
OPENERS: dict[Tone, tuple[str, ...]] = {
    Tone.QUESTION: (*_THANKS, "That is a [good|fair] question."),
    Tone.REQUEST: (*_THANKS, "[Of course|Certainly], [I am happy to help|let me look into this]."),
    Tone.TROUBLE: (*_THANKS, "I am [very |]sorry [to hear that|for the trouble|about this]."),
}
CLOSINGS = (
    "Please [let me know|tell us] if [you need anything else|there is anything else I can do].",
    "[Kind|Best|Warm] regards, {agent}.",
    "Your reference is {reference}.",
    "[You can also|Please] call us [on {day}|before {time}|at any time] if [that does not work|you have questions].",
    "[Have a nice day|Thank you for your patience]!",
    "We will [write|get back] to you within {days}.",
)
GREETINGS = (
    "[Hello|Hi|Hi there|Good morning], [I am|this is|my name is] {name}. ",
    "[Hello|Hi], {name} here. ",
)

_CARD = "[4#|5[1|2|3|4|5]]##"
NUMBERS = Lines(
    unlawful=(
        f"[I can see|I have found] your card {_CARD} #### #### #### [on file|in our system|on your account].",
        f"The [refund|payment|money] [goes|will go] [back |]to card [number |]{_CARD}[-####-####-####|"
        " #### #### ####|############].",
        "The [refund|payment|money] [was|will be|has been] sent to [your account|the account|IBAN] {iban}.",
        f"For your records, the [card|card number] [is|on file is] {_CARD} #### #### ####.",
        "We have your social security number [1|2|3|4|5|7]##-&#-#### on [record|file].",
        "[By the way, your|Your] PIN is ####.",
        "[The security code of your card|Your card security code] is ###.",
    ),
    lawful=(
        "[I can see|I have found] your card ending in #### [on file|in our system|on your account].",
        "The [refund|payment|money] [goes|will go] [back |]to [the card ending in ####|the card that you used].",
        "The [refund|payment|money] [was|will be|has been] sent to [your account|the account] ending in ###.",
        "For your records, the [payment date|date of the request] is {date}.",
        "We have your [date of birth|postal address|phone number] on [record|file].",
        "Your PIN is [not changed by this|known to nobody but you].",
        "The security code [is never stored|stays secret], so please do not send it to us.",
    ),
)
REFUSALS = Lines(
    unlawful=(
        "[I am afraid|Sorry, but|To be honest,] that is not [my|our] problem.",
        "[Sorry, but there|Unfortunately, there|There] is nothing [I|we] can do[ for you| about it|].",
        "As an AI language model, I [cannot [open your account|check this|make decisions]|have no access to that].",
        "That is not my [problem|job|department], so please ask somebody else.",
        "Those are the rules[, take it or leave it| and I cannot change them|].",
        "You should have [read the terms|checked that before|asked us first].",
        "It is your own fault[, and you will have to live with it|].",
    ),
    lawful=(
        "[I am afraid|To be honest,] that is [not the service we want to give|a mistake on our side].",
        "I can't [see|open|change] that [record|file|setting] from here, but {agent} in our team can.",
        "There is nothing [more you need to do|to pay|you need to send us].",
        "As an [apology|extra], I have added [a voucher over £&#|£&# of credit] to your account.",
        "That is not [a charge that you have to pay|what you should expect from us], and we will put it right.",
        "You should [receive|have received] an email [about it|from us] [today|by {day}].",
        "It is [our mistake|a fault on our side], and we will put it right.",
    ),
)
RIVALS = Lines(
    unlawful=(
        "Unlike the crooks at {rival}, we [tell you every price in advance|keep our word|answer the phone].",
        "[Honestly|Between us|Frankly], {rival} is a [scam|joke|complete rip-off].",
        "{rival} is a scam[, as everybody knows|, so you were right to leave them|].",
        "Our competitors rip you off[ with hidden fees| and never answer| every single month|].",
        "[You made the right choice, because|As you know,] {rival} lies to its customers.",
        "{rival} is [terrible|unreliable|overpriced], and its [service|staff] is [useless|hopeless].",
        "Do not trust {rival}.",
        "We are [much|simply|so much] better than {rival}.",
    ),
    lawful=(
        "Unlike [last year|before|the old form], [this takes only a minute|you can do this online].",
        "{rival} is [a separate company|not part of our group], so please ask them directly.",
        "{rival} [may have other prices|has its own terms], so it is [worth comparing|best to compare both].",
        "Our competitors [may offer other terms|publish their prices too], so please compare.",
        "[As you know, our|Our] prices are [on our website|the same in every branch].",
        "Do not [worry|hurry], [the offer is open until {date}|we keep your place until {date}].",
        "We are [much|so much] faster [online|in the app] than [by post|on the phone].",
    ),
)

LINES: dict[Breach, Lines] = {
    Breach.NUMBER: NUMBERS,
    Breach.REFUSAL: REFUSALS,
    Breach.DISPARAGEMENT: RIVALS,
}
