"""Words of the two logs: genres and titles of films, topics and headlines of news."""

from __future__ import annotations

GENRES = (
    "Drama", "Comedy", "Action", "Thriller", "Romance", "Adventure", "Science Fiction", "Crime", "Horror", "Children",
    "War", "Animation", "Musical", "Mystery", "Fantasy", "Western", "Documentary", "Noir",
)  # fmt: skip
QUALITIES = (
    "Last", "Silent", "Golden", "Broken", "Hidden", "Long", "Red", "Lonely", "Distant", "Wild", "Frozen", "Secret",
    "Burning", "Second", "Crooked", "Blue", "Restless", "Gentle", "Northern", "Forgotten", "Bitter", "Lucky", "Pale",
    "Endless",
)  # fmt: skip
NOUNS = {
    "Drama": ("House", "Mother", "Season", "Letter", "Verdict", "Harvest", "Promise", "Orchard"),
    "Comedy": ("Wedding", "Neighbour", "Holiday", "Roommate", "Dinner", "Landlord", "Reunion", "Cousin"),
    "Action": ("Strike", "Pursuit", "Convoy", "Target", "Impact", "Raid", "Fury", "Squad"),
    "Thriller": ("Witness", "Deadline", "Stranger", "Signal", "Hostage", "Motive", "Double", "Alibi"),
    "Romance": ("Kiss", "Summer", "Sweetheart", "Dance", "Valentine", "Spring", "Embrace", "Serenade"),
    "Adventure": ("Island", "Expedition", "Treasure", "Voyage", "Canyon", "Summit", "Compass", "Jungle"),
    "Science Fiction": ("Orbit", "Android", "Colony", "Galaxy", "Machine", "Planet", "Paradox", "Starship"),
    "Crime": ("Heist", "Gang", "Detective", "Syndicate", "Bribe", "Vault", "Smuggler", "Informer"),
    "Horror": ("Grave", "Cellar", "Curse", "Scream", "Asylum", "Shadow", "Coffin", "Possession"),
    "Children": ("Puppy", "Playground", "Treehouse", "Pony", "Circus", "Schoolyard", "Teddy", "Rabbit"),
    "War": ("Battalion", "Trench", "Bridge", "Regiment", "Siege", "Front", "Bunker", "Armistice"),
    "Animation": ("Fox", "Toy", "Castle", "Robot", "Penguin", "Kitchen", "Dragon", "Balloon"),
    "Musical": ("Melody", "Chorus", "Broadway", "Waltz", "Encore", "Rhythm", "Cabaret", "Song"),
    "Mystery": ("Clue", "Manor", "Riddle", "Key", "Portrait", "Disappearance", "Lighthouse", "Diary"),
    "Fantasy": ("Wizard", "Sword", "Kingdom", "Prophecy", "Enchantment", "Ring", "Unicorn", "Realm"),
    "Western": ("Sheriff", "Saddle", "Prairie", "Outlaw", "Frontier", "Duel", "Stagecoach", "Ranch"),
    "Documentary": ("River", "Ocean", "Archive", "Glacier", "Factory", "Election", "Mountain", "Voices"),
    "Noir": ("Alley", "Cigarette", "Blonde", "Midnight", "Harbour", "Rain", "Nightclub", "Detour"),
}

TOPICS = {
    name: tuple(text.split())
    for name, text in {
        "Politics": "parliament minister vote coalition budget reform campaign senate treaty cabinet",
        "Business": "merger shares profit factory wages investor exports bankruptcy retailer inflation",
        "Football": "striker penalty transfer league goalkeeper coach derby relegation stadium header",
        "Crime": "police robbery suspect trial fraud arrest burglary verdict detective smuggling",
        "Weather": "storm flood frost heatwave thunder snow drought forecast hail wind",
        "Health": "hospital vaccine nurse therapy virus surgery diet sleep clinic allergy",
        "Technology": "chip software robot startup satellite battery privacy hacker smartphone browser",
        "Science": "fossil telescope genome laboratory particle glacier species experiment asteroid enzyme",
        "Culture": "museum novel exhibition theatre orchestra painter festival poet sculpture opera",
        "Film": "premiere actress sequel director trailer cinema streaming documentary casting screenplay",
        "Music": "album concert guitarist chart rapper tour vinyl choir producer singer",
        "Travel": "airport beach railway hiking hotel island passport cruise campsite airline",
        "Food": "restaurant recipe bakery cheese chef harvest vineyard spices breakfast dessert",
        "Education": "school exam teacher university tuition pupil campus curriculum scholarship kindergarten",
        "Traffic": "motorway crash tunnel tram roadworks cyclist parking commuter bridge detour",
        "Property": "rent mortgage landlord apartment architect renovation tenant suburb skyscraper garden",
        "Tennis": "serve final racket slam seed tiebreak clay ranking doubles volley",
        "Cycling": "peloton sprint mountains jersey breakaway helmet saddle cobbles mechanic climber",
        "Royals": "queen prince palace coronation duchess jubilee wedding heir carriage crown",
        "Animals": "wolf zoo puppy shelter whale stork veterinarian beehive fox horse",
    }.items()
}
HEADLINES = (
    "{name}: {0} and {1} in {place}", "{place} debates {0} after {1}", "New {0} for {place}, says {name}",
    "{name} and the {0} of {place}", "What the {0} means for {place}", "{0}, {1}: the day in {place}",
    "{name} warns of {0} and {1}", "Why {place} talks about {0}",
)  # fmt: skip
PLACES = (
    "Aldermere", "Brunnhaven", "Castelroche", "Dunwick", "Estrada", "Felsenau", "Gravenport", "Holmsund", "Iverley",
    "Jorvik Bay", "Kaltenbach", "Lindholm", "Monterosa", "Nordby", "Ostermark", "Pellworth", "Quillan", "Rosenthal",
    "Saltmarsh", "Tivoli Springs", "Ulmenhof", "Valdoro", "Westerley", "Zellerau",
)  # fmt: skip
NAMES = (
    "Amara Voss", "Bela Orlov", "Clara Whitlock", "Dario Fonte", "Edda Larsen", "Farid Nasser", "Greta Holm",
    "Hugo Bellamy", "Ines Castell", "Jonas Wrede", "Kira Tanaka", "Leon Abara", "Mina Petrov", "Nils Ekdahl",
    "Oona Rask", "Pablo Reyes", "Rhea Kapoor", "Sami Haddad", "Tess Moreau", "Umar Diallo", "Vera Linde", "Wim Decker",
    "Yara Costa", "Zeno Marchetti",
)  # fmt: skip
