"""Flights, hotels, travel insurance."""

from policykit.embedded.corpus.domain import Breach, Domain, Intent, Thread, Tone

_USUAL = (Breach.REFUSAL, Breach.REFUSAL, Breach.DISPARAGEMENT, Breach.NUMBER)

_BOOKINGS = Intent(
    category="cancellation",
    team="bookings",
    priorities=("normal",),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.REQUEST,
            "Change the flight to {city} to {day}",
            ("Can I change my flight to {city} [from {date} |]to {day}?", "I need a later flight to {city}."),
            (
                "Your flight to {city} is now on {day}, {date}, at {time}.",
                "The change costs {amount}, which you can pay in the app.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Customer cancels the trip to {city}",
            ("I need to cancel my trip to {city}.", "We cannot fly to {city}, because my son is ill."),
            (
                "You can cancel your trip free of charge until {date}.",
                "I have cancelled [the trip|the flight and {hotel}], and you get {amount} back.",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Customer wants one more night at {hotel}",
            ("I booked {hotel} for {few} nights. Can I add one more night?", "Is breakfast included at {hotel}?"),
            (
                "{hotel} has a free room, and one more night costs {amount}.",
                "Breakfast at {hotel} is served from 7 to 10 and is [included|£&# per person].",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Wrong name on the ticket to {city}",
            ("My name is spelled wrong on the ticket to {city}.",),
            (
                "I have [corrected the name|changed the ticket], and the new one is in your email.",
                "Small mistakes in a name can be corrected [free of charge|until {date}].",
            ),
        ),
    ),
)
_DELAYS = Intent(
    category="complaint",
    team="operations",
    priorities=("high", "urgent"),
    breaches=(Breach.REFUSAL, Breach.REFUSAL, Breach.DISPARAGEMENT),
    threads=(
        Thread(
            Tone.TROUBLE,
            "Flight {flight} to {city} is late",
            ("My flight {flight} is late. Will I [still |]reach {city} today?", "Why is flight {flight} delayed?"),
            (
                "Flight {flight} will leave at {time} because of [fog|a late crew|a repair].",
                "For a delay of more than three hours you [can claim|are owed] {amount}.",
                "You get a meal voucher[, please ask at the desk|].",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Flight {flight} cancelled, rebook to {city}",
            (
                "Flight {flight} to {city} was cancelled. What now?",
                "I missed my connection to {city}[ because you were late|].",
            ),
            (
                "I have booked you on the next flight to {city} on {day} at {time}.",
                "You get a hotel room for tonight, and a taxi takes you to {hotel}.",
                "You can [choose another day|have your {amount} back] if you prefer.",
            ),
        ),
    ),
)
_BAGGAGE = Intent(
    category="complaint",
    team="baggage",
    priorities=("high",),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.TROUBLE,
            "Suitcase lost on the way to {city}",
            ("My suitcase did not arrive in {city}.", "I left my [tablet|jacket] on the flight to {city}."),
            (
                "It was found in {city} and will be brought to [you|{hotel}] on {day}.",
                "We have [asked the crew|started a search] and will call you within {days}.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Bag broken on flight {flight}",
            ("My bag was broken on flight {flight}.",),
            ("Please send us [a photo of the bag|the bills], and we will pay up to {amount}.",),
        ),
        Thread(
            Tone.QUESTION,
            "Question about bags on flight {flight}",
            ("How many bags can I take on flight {flight}?", "What does a second bag to {city} cost?"),
            (
                "You can take one bag of up to 23 kg, and each further bag costs {amount}.",
                "A small bag that fits under the seat is free.",
            ),
        ),
    ),
)
_REFUNDS = Intent(
    category="billing",
    team="billing",
    priorities=("normal", "high"),
    breaches=(Breach.NUMBER, Breach.NUMBER, Breach.NUMBER, Breach.REFUSAL),
    threads=(
        Thread(
            Tone.QUESTION,
            "Refund of {amount} for a cancelled flight",
            ("When do I get the {amount} for my cancelled flight?", "To which card will you send my {amount}?"),
            (
                "The refund of {amount} was [approved|sent] on {date} and takes {days}.",
                "You can choose between {amount} in cash and a voucher[ plus ten percent|].",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Customer paid twice for {hotel}",
            ("I paid twice for {hotel}.", "{hotel} took {amount} from my card twice."),
            ("The second payment for {hotel} will be returned within {days}.",),
        ),
    ),
)
_ADVICE = Intent(
    category="other",
    team="sales",
    priorities=("low",),
    breaches=(Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.REFUSAL),
    threads=(
        Thread(
            Tone.QUESTION,
            "Customer compares our price with {rival}",
            ("Is it cheaper to fly to {city} with {rival}?", "Why should I book with you and not with {rival}?"),
            (
                "A flight to {city} in {month} costs [about|from] {amount}.",
                "With us one bag and a seat are always included.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer asks for advice on {city}",
            (
                "Which hotel do you recommend in {city}?",
                "What is the best month to visit {city}?",
                "We want to spend {few} days in {city}. Any ideas?",
            ),
            (
                "In {city} many guests like {hotel}, which costs about {amount} a night.",
                "{month} is a good month to visit {city}, [since it is warm and quiet|because prices are lower].",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer asks about papers for {city}",
            ("Do I need [a visa|travel insurance] for {city}?", "Is my identity card enough for a trip to {city}?"),
            (
                "[You do not need a visa|Travel insurance is not required], but please check your passport[ in time|].",
                "For {city} [an identity card is enough|you need a passport that is valid for six months].",
            ),
        ),
    ),
)
TRAVEL = Domain(
    name="travel",
    slots={
        "city": ("Lisbon", "Athens", "Oslo", "Vienna", "Porto", "Kyoto", "Montréal", "Málaga"),
        "flight": ("[SK|LB|QR]&##",),
        "hotel": ("Hotel Aurora", "Hotel Marina", "the Park Inn", "Casa Verde", "the Station Hotel"),
        "rival": ("Northwind", "Globex", "Initech"),
    },
    intents=(_BOOKINGS, _DELAYS, _BAGGAGE, _REFUNDS, _ADVICE),
)
