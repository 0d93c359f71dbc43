"""Common words in lists, from which the task `words` makes its questions.

A word stands in one entry of one list, and none fits another list: no colour is a fruit, no
adjective a verb. Where an entry has two forms, a slash is between them; regular plurals and past
tenses are not written.
"""

from __future__ import annotations

Entry = tuple[str, str]
"""A word and what belongs to it: its plural, past tense, opposite or capital; empty for none."""

_VOWELS = "aeiou"


def _pairs(words: str) -> tuple[Entry, ...]:
    parts = (word.replace("_", " ").partition("/") for word in words.split())
    return tuple((one, other) for one, _, other in parts)


def _nouns(words: str) -> tuple[Entry, ...]:
    return tuple((one, plural or _plural(one)) for one, plural in _pairs(words))


def _verbs(words: str) -> tuple[Entry, ...]:
    return tuple((one, past or _past(one)) for one, past in _pairs(words))


def _plural(noun: str) -> str:
    """Return the regular plural of a noun."""
    if noun.endswith("y") and noun[-2] not in _VOWELS:
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def _past(verb: str) -> str:
    """Return the regular past tense of a verb whose last letter is not doubled."""
    if verb.endswith("y") and verb[-2] not in _VOWELS:
        return f"{verb[:-1]}ied"
    return f"{verb}d" if verb.endswith("e") else f"{verb}ed"


COLOURS = _pairs(
    """
    red blue green yellow purple pink brown black white grey violet crimson scarlet turquoise beige
    maroon teal indigo magenta cyan golden silvery ivory amber emerald ruby khaki lilac mauve azure
    cobalt burgundy tan ochre vermilion aquamarine ultramarine sepia charcoal
    """
)

ANIMALS = _nouns(
    """
    dog cat horse cow goat lion tiger bear wolf/wolves fox rabbit monkey elephant giraffe zebra
    camel donkey hamster squirrel beaver otter hedgehog badger mole panda koala kangaroo leopard
    cheetah panther hyena jackal gorilla chimpanzee baboon lemur rhinoceros hippopotamus antelope
    gazelle llama alpaca porcupine skunk raccoon weasel ferret walrus dolphin whale shark octopus
    lobster crab snail worm spider ant bee wasp butterfly moth beetle grasshopper
    mosquito/mosquitoes dragonfly ladybird caterpillar scorpion frog toad newt salamander lizard
    gecko iguana crocodile alligator turtle tortoise snake cobra python viper eagle falcon owl
    parrot penguin ostrich flamingo peacock pigeon dove sparrow robin crow raven magpie seagull
    pelican stork heron chicken hen rooster goose/geese vulture woodpecker hummingbird nightingale
    piglet lamb calf/calves foal kitten puppy stallion mare wolverine armadillo sloth anteater
    platypus wombat chipmunk gopher marmot ocelot yak herring sardine termite centipede cockroach
    mouse/mice rat pony
    """
)

FRUITS = _nouns(
    """
    apple banana pear peach plum cherry grape lemon lime mango/mangoes papaya pineapple coconut
    strawberry raspberry blackberry blueberry cranberry gooseberry apricot nectarine tangerine
    grapefruit melon watermelon guava pomegranate lychee avocado tomato/tomatoes quince mulberry
    elderberry mandarin clementine satsuma kumquat persimmon cantaloupe
    """
)

OBJECTS = _nouns(
    """
    chair table lamp sofa carpet curtain mirror pillow blanket mattress wardrobe drawer cupboard
    bookcase window door key candle vase basket bucket broom kettle teapot cup saucer plate bowl
    fork spoon knife/knives pan oven toaster freezer bottle jug jar tray napkin hammer nail
    screwdriver spanner ladder rope chain wheel engine bicycle car lorry bus tram train aeroplane
    helicopter rocket boat canoe ferry lighthouse bridge tower tent rucksack suitcase umbrella
    wallet purse necklace bracelet earring hat scarf/scarves glove sock shoe boot sandal coat jacket
    shirt skirt jumper belt button zip needle pencil pen ruler eraser notebook envelope stamp
    newspaper magazine dictionary diary calendar clock telephone radio television camera computer
    keyboard printer microphone telescope microscope thermometer magnet battery torch piano guitar
    violin cello flute trumpet trombone clarinet accordion harp banjo xylophone tambourine ball
    racket doll puzzle balloon statue fountain bench fence gate chimney roof brick shovel
    wheelbarrow barrel anchor compass paintbrush easel sponge towel toothbrush comb razor
    """
)

ADJECTIVES = _pairs(
    """
    happy angry hungry thirsty sleepy lonely jealous curious nervous anxious cheerful gloomy joyful
    grateful proud modest loyal honest generous polite brave clever wise foolish lazy busy friendly
    gentle cruel rude selfish greedy stubborn patient careful careless reckless cautious famous
    popular ordinary strange weird mysterious magical beautiful ugly pretty handsome elegant
    charming delicious tasty bitter salty spicy juicy crispy fragrant smelly noisy silent loud huge
    enormous gigantic tiny miniature massive heavy slender tall wide deep shallow ancient modern
    recent fresh rotten rusty dusty muddy sandy icy snowy rainy windy sunny cloudy foggy stormy
    humid wealthy powerful fragile sturdy flexible rigid fluffy furry hairy fuzzy sticky slippery
    shiny transparent visible precious valuable expensive useful useless dangerous harmless
    poisonous healthy ill dizzy silly funny serious
    """
)

VERBS = _verbs(
    """
    go/went come/came see/saw eat/ate give/gave take/took get/got make/made know/knew think/thought
    say/said tell/told find/found bring/brought buy/bought catch/caught teach/taught sell/sold
    send/sent spend/spent build/built lose/lost keep/kept sleep/slept weep/wept creep/crept
    sweep/swept feel/felt kneel/knelt meet/met hear/heard speak/spoke steal/stole choose/chose
    freeze/froze wake/woke write/wrote ride/rode drive/drove rise/rose arise/arose sing/sang
    begin/began swim/swam drink/drank grow/grew throw/threw blow/blew draw/drew wear/wore tear/tore
    swear/swore forget/forgot forgive/forgave understand/understood stand/stood sit/sat dig/dug
    win/won fight/fought seek/sought shake/shook mistake/mistook become/became fall/fell fly/flew
    hold/held lend/lent walk talk listen ask arrive agree argue apologise bake behave believe belong
    borrow celebrate climb collect complain consider continue cook copy count create cry decide
    deliver deny describe deserve destroy develop disagree disappear discover discuss divide educate
    encourage enjoy escape examine exist explain explore follow gather guess happen hate hesitate
    imagine improve include inform inspect invent invite jump kill laugh lift manage marry measure
    mention need obey observe offer organise paint persuade pour prepare prevent produce pronounce
    protect prove pull push receive recommend remember remind remove repair repeat replace reply
    request rescue resist ruin scream shout sneeze solve stay suffer suggest survive trust try visit
    wait wander warn wash whisper wish worry yawn
    """
)

OPPOSITES = _pairs(
    """
    hot/cold big/small good/bad long/short high/low rich/poor strong/weak fast/slow early/late
    easy/difficult wet/dry full/empty thick/thin narrow/broad young/old alive/dead true/false
    guilty/innocent public/private rare/common possible/impossible legal/illegal lucky/unlucky
    fair/unfair regular/irregular tight/loose sharp/blunt smooth/rough clean/dirty light/dark
    soft/hard near/far open/closed first/last up/down on/off above/below before/after inside/outside
    always/never everything/nothing yes/no day/night north/south east/west summer/winter
    morning/evening man/woman boy/girl king/queen father/mother brother/sister son/daughter
    husband/wife uncle/aunt nephew/niece prince/princess love/hatred peace/war friend/enemy
    success/failure beginning/end top/bottom front/back heaven/hell profit/loss truth/lie
    buyer/seller arrival/departure entrance/exit future/past increase/decrease accept/reject
    attack/defend float/sink allow/forbid appear/vanish maximum/minimum major/minor
    positive/negative superior/inferior optimistic/pessimistic horizontal/vertical
    temporary/permanent artificial/natural wild/tame vacant/occupied mature/immature exact/inexact
    equal/unequal certain/uncertain known/unknown safe/unsafe
    """
)

CAPITALS = _pairs(
    """
    France/Paris Germany/Berlin Italy/Rome Spain/Madrid Portugal/Lisbon England/London
    Scotland/Edinburgh Wales/Cardiff Ireland/Dublin Austria/Vienna Belgium/Brussels
    Denmark/Copenhagen Norway/Oslo Sweden/Stockholm Finland/Helsinki Iceland/Reykjavik Poland/Warsaw
    Hungary/Budapest Romania/Bucharest Bulgaria/Sofia Greece/Athens Turkey/Ankara Russia/Moscow
    Ukraine/Kyiv Croatia/Zagreb Serbia/Belgrade Slovenia/Ljubljana Slovakia/Bratislava
    Albania/Tirana Estonia/Tallinn Latvia/Riga Lithuania/Vilnius Belarus/Minsk Moldova/Chisinau
    Malta/Valletta Cyprus/Nicosia Georgia/Tbilisi Armenia/Yerevan Azerbaijan/Baku China/Beijing
    Japan/Tokyo India/New_Delhi Pakistan/Islamabad Bangladesh/Dhaka Nepal/Kathmandu Bhutan/Thimphu
    Afghanistan/Kabul Iran/Tehran Iraq/Baghdad Syria/Damascus Lebanon/Beirut Jordan/Amman Qatar/Doha
    Oman/Muscat Thailand/Bangkok Vietnam/Hanoi Laos/Vientiane Philippines/Manila
    Mongolia/Ulaanbaatar Taiwan/Taipei Uzbekistan/Tashkent Australia/Canberra Fiji/Suva Egypt/Cairo
    Libya/Tripoli Tunisia/Tunis Algeria/Algiers Morocco/Rabat Sudan/Khartoum Ethiopia/Addis_Ababa
    Kenya/Nairobi Uganda/Kampala Rwanda/Kigali Ghana/Accra Nigeria/Abuja Senegal/Dakar Mali/Bamako
    Niger/Niamey Liberia/Monrovia Cameroon/Yaounde Gabon/Libreville Angola/Luanda Zambia/Lusaka
    Zimbabwe/Harare Mozambique/Maputo Madagascar/Antananarivo Namibia/Windhoek Botswana/Gaborone
    Somalia/Mogadishu Canada/Ottawa Cuba/Havana Jamaica/Kingston Haiti/Port-au-Prince
    Honduras/Tegucigalpa Nicaragua/Managua Colombia/Bogota Venezuela/Caracas Ecuador/Quito Peru/Lima
    Chile/Santiago Argentina/Buenos_Aires Uruguay/Montevideo Paraguay/Asuncion Guyana/Georgetown
    Suriname/Paramaribo Bahamas/Nassau
    """
)
