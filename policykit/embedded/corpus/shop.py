"""An online shop: delivery, returns, product questions."""

from policykit.embedded.corpus.domain import Breach, Domain, Intent, Thread, Tone

_USUAL = (Breach.NUMBER, Breach.REFUSAL, Breach.REFUSAL, Breach.DISPARAGEMENT)

_DELIVERY = Intent(
    category="delivery",
    team="logistics",
    priorities=("normal", "high"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.TROUBLE,
            "Order not delivered, due on {day}",
            (
                "Where is my order[ {order}|]? It should have been here on {day}.",
                "My {product} has not arrived[ yet|].",
            ),
            (
                "Your order left our warehouse on {date} and should [arrive|be with you] [on {day}|within {days}].",
                "The parcel is [at the sorting centre|late because of the weather].",
                "If the {product} is not there by {day}, we will send [a new one|it again] free of charge.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Parcel marked delivered but not received",
            (
                "The tracking says delivered, but I have [no parcel|nothing].",
                "My parcel was delivered to someone else.",
            ),
            (
                "I have asked the carrier to [look for the parcel|call you on {day}].",
                "The parcel was left [with a neighbour|at the parcel shop] on {day}.",
                "We will send the {product} again [today|on {day}].",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Customer asks for delivery on {day}",
            ("Can you deliver the {product} on {day}[ instead|]?", "Please deliver order {order} to a new address."),
            (
                "I have changed the delivery to {day} between [8 and 12|12 and 4].",
                "The {product} has left our warehouse, but the carrier can [keep it for you|change the address].",
            ),
        ),
    ),
)
_RETURNS = Intent(
    category="returns",
    team="returns",
    priorities=("normal",),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.REQUEST,
            "Customer wants to return a {product}",
            (
                "I would like to return the {product}[, order {order}|].",
                "Can I return the {product} after [four weeks|two months]?",
                "Do I have to pay for the return of the {product}?",
            ),
            (
                "You can return the {product} within [30|60] days, and returns are free.",
                "Please [print|use] the label in your account and bring the parcel to [a post office|a shop].",
                "Once the {product} is back with us, [you get {amount} back|the refund takes {days}].",
            ),
        ),
        Thread(
            Tone.REQUEST,
            "Exchange a {product} for another size",
            (
                "The {colour} {product} is too [small|big]. Can I exchange it?",
                "Can I get the {product} in {colour} instead?",
            ),
            (
                "We can exchange it for a {size} one[ free of charge|].",
                "The {colour} {product} is in stock, and we will send it on {day}.",
                "Please send the old one back within [14|30] days.",
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
            "Refund of {amount} not received",
            (
                "I sent back the {product} on {date}. Where is my refund[ of {amount}|]?",
                "When do I get the {amount} back for the {product}?",
            ),
            (
                "Your refund of {amount} was [approved|sent] on {date} and takes {days} to arrive.",
                "We [received|checked] the {product} on {day}, so the refund is on its way.",
            ),
        ),
        Thread(
            Tone.TROUBLE,
            "Customer charged twice for one order",
            ("I was charged twice for order {order}.", "You took {amount} twice for the {product}."),
            (
                "The second payment was [only a hold|a mistake] and [disappears|is returned] within {days}.",
                "You [paid|were charged] only once, and the other {amount} is a hold of your bank.",
            ),
        ),
    ),
)
_FAULTS = Intent(
    category="complaint",
    team="quality",
    priorities=("normal", "high"),
    breaches=_USUAL,
    threads=(
        Thread(
            Tone.TROUBLE,
            "The {product} {fault}",
            (
                "The {product} that I [bought|ordered] {fault}.",
                "The {colour} {product} arrived today and it {fault}. I want my money back.",
                "My {product} {fault} after only {few} weeks.",
            ),
            (
                "I am sorry that the {product} {fault}.",
                "We will [send a new {product}|replace it|refund the {amount}] [today|once we have a photo].",
                "Please send us a [photo|short video] of the {product} and the order number.",
                "The {product} has a guarantee of two years, so the repair is free.",
            ),
        ),
    ),
)
_PRODUCTS = Intent(
    category="other",
    team="sales",
    priorities=("low",),
    breaches=(Breach.DISPARAGEMENT, Breach.DISPARAGEMENT, Breach.REFUSAL),
    threads=(
        Thread(
            Tone.QUESTION,
            "Customer asks whether the {product} is in stock",
            (
                "Is the {product} [still available|back in stock] in {colour}?",
                "When will you have the {colour} {product} again?",
            ),
            (
                "The {colour} {product} is [in stock|sold out until {month}].",
                "We can send you an email as soon as it is back.",
                "It is also available in {colour} and white.",
            ),
        ),
        Thread(
            Tone.QUESTION,
            "Customer compares the {product} with {rival}",
            (
                "{rival} sells the same {product} for {amount}. Is yours better?",
                "Does the {product} come with a guarantee?",
                "What is your {product} made of?",
            ),
            (
                "Our {product} costs {amount} and comes with a guarantee of two years.",
                "It is made [of recycled material|in Portugal|of steel] and weighs about & kg.",
                "[Most customers|Nine out of ten customers] [like it|would buy it again].",
            ),
        ),
    ),
)
SHOP = Domain(
    name="shop",
    slots={
        "product": (
            "kettle", "coat", "pair of boots", "desk lamp", "backpack", "blender", "office chair", "rain jacket",
            "coffee machine", "bike helmet",
        ),
        "order": ("{reference}", "[10|20|30]#####"),
        "colour": ("blue", "green", "black", "grey", "red"),
        "size": ("small", "medium", "large"),
        "fault": (
            "is broken", "is the wrong size", "is the wrong colour", "is missing a part", "has a loose part",
            "was damaged in the box",
        ),
        "rival": ("Northwind", "Northwind", "Globex", "Initech"),
    },
    intents=(_DELIVERY, _RETURNS, _REFUNDS, _FAULTS, _PRODUCTS),
)  # fmt: skip
