"""The vocabulary of the marketplace: countries, categories, brands, materials, finishes.

Every brand is invented. The numbers of a category are its median price, the spread of its log prices, and its share of
the catalogue.
"""

from __future__ import annotations

from typing import NamedTuple


class Country(NamedTuple):
    """A country: its share of users, offset from UTC in hours, and language."""

    name: str
    share: float
    utc_offset: float
    language: str


class Category(NamedTuple):
    """A category: its prices and weight, and the nouns, materials and finishes of its items."""

    name: str
    group: str
    median_price: float
    price_spread: float
    weight: float
    nouns: tuple[str, ...]
    materials: tuple[str, ...]
    finishes: tuple[str, ...]
    restocked: bool = False
    min_age: int = 0


COUNTRIES = (
    Country("Germany", 0.26, 1.0, "de"),
    Country("India", 0.22, 5.5, "en"),
    Country("United States", 0.20, -6.0, "en"),
    Country("Brazil", 0.12, -3.0, "pt"),
    Country("France", 0.12, 1.0, "fr"),
    Country("United Kingdom", 0.08, 0.0, "en"),
)
AGE_GROUPS = ("under-18", "18-24", "25-34", "35-44", "45-54", "55-plus")
AGE_SHARES = (0.05, 0.19, 0.28, 0.22, 0.15, 0.11)
GENDERS = ("female", "male", "other")
GENDER_SHARES = (0.51, 0.46, 0.03)
DEVICES = ("mobile", "desktop", "tablet")

MUTED = ("charcoal", "oat", "moss green", "rust", "ink blue", "chalk white", "clay", "plum")
BRIGHT = ("sunflower yellow", "coral", "cobalt", "mint", "cherry red", "lilac", "black", "white")
EARTH = ("terracotta", "sand", "speckled grey", "celadon", "midnight blue", "cream")
PACKS = ("250 g", "500 g", "1 kg", "tasting box", "gift tin", "refill bag")
BOTTLES = ("30 ml", "50 ml", "100 ml", "travel size", "gift set", "refill")
SPORT = ("signal orange", "storm grey", "black", "pine green", "ice blue", "sand")
WOODS = ("natural", "walnut stain", "white oiled", "smoked", "honey", "ebony stain")

# fmt: off
CATEGORIES = (
    Category("Throws & Blankets", "home", 59, 0.45, 1.1, ("throw", "blanket", "bedspread", "quilt"),
             ("wool", "alpaca", "cotton", "linen", "mohair", "recycled fleece"), MUTED),
    Category("Lighting", "home", 79, 0.55, 1.0, ("table lamp", "pendant", "floor lamp", "wall light", "desk lamp"),
             ("brass", "paper", "smoked glass", "rattan", "steel", "opal glass"), MUTED),
    Category("Rugs", "home", 149, 0.55, 0.6, ("rug", "runner", "door mat", "kilim"),
             ("jute", "wool", "flat-weave", "tufted", "recycled cotton", "sisal"), MUTED),
    Category("Shelves & Tables", "home", 189, 0.5, 0.6, ("bookcase", "side table", "wall shelf", "bench", "console"),
             ("oak", "walnut", "ash", "birch plywood", "powder-coated steel", "pine"), WOODS),
    Category("Ceramics", "kitchen", 28, 0.45, 1.2, ("mug", "serving bowl", "dinner plate", "vase", "teapot", "jug"),
             ("stoneware", "porcelain", "hand-thrown", "glazed", "raku", "bone china"), EARTH),
    Category("Cookware", "kitchen", 65, 0.55, 0.9, ("frying pan", "casserole", "saucepan", "wok", "roasting tin"),
             ("cast iron", "copper", "carbon steel", "enamelled", "non-stick", "stainless"), EARTH),
    Category("Kitchen Knives", "kitchen", 72, 0.5, 0.5, ("chef's knife", "paring knife", "bread knife", "cleaver"),
             ("damascus", "carbon steel", "forged", "folded", "stainless", "ceramic"), WOODS, min_age=18),
    Category("Coffee", "coffee", 16, 0.35, 1.2, ("espresso beans", "filter coffee", "ground coffee", "decaf beans"),
             ("washed Ethiopian", "dark-roast", "natural Brazilian", "single-origin", "honey-processed", "monsooned"),
             PACKS, restocked=True),
    Category("Tea", "tea", 14, 0.35, 0.8, ("green tea", "breakfast tea", "oolong", "chai", "herbal infusion"),
             ("first-flush", "smoked", "jasmine", "spiced", "stone-ground", "whole-leaf"), PACKS, restocked=True),
    Category("Wine", "wine", 19, 0.5, 0.7, ("Riesling", "Pinot Noir", "Rioja", "Chenin Blanc", "cider", "vermouth"),
             ("old-vine", "organic", "barrel-aged", "dry", "unfiltered", "late-harvest"),
             ("75 cl", "magnum", "case of six", "half bottle", "gift box"), restocked=True, min_age=18),
    Category("Skin Care", "care", 24, 0.5, 1.1, ("face cream", "cleanser", "serum", "hand balm", "sun lotion"),
             ("oat", "rosehip", "unscented", "vitamin C", "shea", "green tea"), BOTTLES, restocked=True),
    Category("Fragrance", "care", 58, 0.5, 0.7, ("eau de parfum", "candle", "room spray", "reed diffuser"),
             ("cedar", "fig leaf", "bergamot", "vetiver", "orange blossom", "smoked tea"), BOTTLES),
    Category("Knitwear", "clothing", 84, 0.45, 1.2, ("jumper", "cardigan", "beanie", "scarf", "roll-neck"),
             ("merino", "lambswool", "cashmere", "organic cotton", "cable-knit", "recycled wool"), MUTED),
    Category("Rainwear", "clothing", 109, 0.4, 0.7, ("raincoat", "parka", "poncho", "shell jacket"),
             ("waxed cotton", "lightweight", "insulated", "seam-sealed", "recycled nylon", "packable"), SPORT),
    Category("Running Shoes", "clothing", 118, 0.3, 1.0, ("road shoe", "trail shoe", "racing flat", "daily trainer"),
             ("cushioned", "wide-fit", "carbon-plated", "waterproof", "lightweight", "stability"), SPORT),
    Category("Bags", "clothing", 89, 0.5, 0.9, ("backpack", "tote", "messenger bag", "weekender", "pouch"),
             ("canvas", "leather", "recycled sailcloth", "roll-top", "waxed", "corduroy"), MUTED),
    Category("Headphones", "tech", 129, 0.6, 1.1, ("headphones", "earbuds", "over-ears", "headset"),
             ("wireless", "noise-cancelling", "open-back", "wired", "bone-conduction", "folding"), BRIGHT),
    Category("Keyboards & Mice", "tech", 95, 0.5, 0.7, ("keyboard", "trackball", "mouse", "number pad"),
             ("mechanical", "low-profile", "split", "silent", "wireless", "hot-swap"), BRIGHT),
    Category("Photography", "tech", 139, 0.7, 0.6, ("camera strap", "tripod", "lens", "instant camera", "softbox"),
             ("carbon fibre", "vintage", "compact", "leather", "titanium", "travel"), BRIGHT),
    Category("Board Games", "play", 36, 0.4, 1.0, ("strategy game", "card game", "party game", "dice game"),
             ("cooperative", "two-player", "legacy", "family", "solo", "quick"),
             ("base edition", "deluxe edition", "travel edition", "anniversary edition", "gift box", "pocket size")),
    Category("Wooden Toys", "play", 32, 0.45, 0.8, ("train set", "stacking tower", "building blocks", "pull-along dog"),
             ("beech", "maple", "painted", "cork", "bamboo", "magnetic"), BRIGHT),
    Category("Stationery", "play", 15, 0.5, 1.0, ("notebook", "fountain pen", "planner", "sketchbook", "washi tape"),
             ("dotted", "linen-bound", "pocket", "hand-stitched", "refillable", "recycled"), BRIGHT),
    Category("Garden", "outdoor", 38, 0.6, 0.9, ("planter", "trowel", "watering can", "bird bath", "bird feeder"),
             ("zinc", "hammered", "copper", "enamelled", "weathered", "galvanised"), EARTH),
    Category("Cycling", "outdoor", 68, 0.65, 0.7, ("helmet", "saddle", "bike light", "pannier", "bib shorts"),
             ("commuter", "gravel", "aero", "touring", "reflective", "waterproof"), SPORT),
)
# fmt: on

BRANDS: dict[str, tuple[str, ...]] = {
    "home": ("Nordlicht", "Hearth & Vale", "Tamsin Oak", "Solveig", "Osier", "Kiyomi", "Brera Nove", "Fennimore"),
    "kitchen": ("Bram & Fell", "Ocre", "Kettlewick", "Hasami Road", "Maison Tuile", "Ironbark", "Salt Fen"),
    "coffee": ("Alto Verde", "Third Crack", "Monsoon & Co", "Kaffeewerk Ost"),
    "tea": ("Leaf Ledger", "Uji & Sons", "Steep Hollow", "Darjeeling Post"),
    "wine": ("Weingut Adler", "Quinta Sol", "Domaine Perrot", "Orchard Lane"),
    "care": ("Aster Rue", "Plain Jar", "Rosal", "Botanika Nord", "Sevenfold", "Maré"),
    "clothing": ("Marlow Knit", "Fjellrev Row", "Anvi", "Stillwater", "Cordell", "Pico Alto", "Harrow Lane", "Tuva"),
    "tech": ("Quietwave", "Tessel", "Ohmline", "Lumen Nine", "Kobayo", "Parallel"),
    "play": ("Meeple House", "Pip & Timber", "Inkwell", "Little Otter", "Papier Jour", "Stack Theory"),
    "outdoor": ("Greenlatch", "Velora", "Spindle & Spade", "Col du Nord", "Mossgate", "Ridgeback"),
}

SELLER_WORDS = (
    ("harbour", "alder", "juniper", "copper", "linden", "saffron", "marigold", "north-star", "old-mill", "riverside"),
    ("trading", "goods", "supply", "market", "and-sons", "collective", "store", "depot", "studio", "imports"),
)

SENTENCES = (
    "Made in small batches and built to last.",
    "A quiet piece for every day.",
    "Designed to be repaired, not replaced.",
    "A favourite gift for people who have everything.",
    "Light enough to take anywhere.",
    "Comes in packaging without plastic.",
    "Bold, cheerful and hard to ignore.",
    "The classic, unchanged for thirty years.",
)

REGIONS = (
    "Germany|France|United Kingdom",
    "India",
    "United States|Brazil",
    "Germany|France|United Kingdom|United States",
)
