"""What the redaction seam takes out of a text, and what it leaves in."""

import itertools
import json
import random
import time

import pytest

from contracts.settings import DATA
from store.redaction import redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("mail jane.doe@uni.edu.", "mail [email]."),
        ("o'brien+x@cs.uni.ac.uk please", "[email] please"),
        ("<a@b.co>, c@d.org", "<[email]>, [email]"),
        ("JANE@UNI.EDU", "[email]"),
        ("jörg@universität.de", "[email]"),
        ("jane＠uni．edu", "[email]"),
        ("ja\u200bne@uni.edu", "[email]"),
        ("jane (at) uni (dot) edu", "[email]"),
        ("jane[at]uni.edu, ok", "[email], ok"),
        ("write to jane dot doe at gmail dot com please", "write to [email] please"),
        ("JANE AT UNI DOT EDU", "[email]"),
        ("jane@uni dot edu", "[email]"),
        ("jane @ gmail . com", "[email]"),
        ("it is jane.doe at uni.edu", "it is [email]"),
        ("jane at gmail.com", "[email]"),
    ],
)
def test_email_addresses_go_spelled_out_too(text: str, redacted: str) -> None:
    assert redact(text) == redacted


PHONES = [
    *("(555) 123-4567", "(555)123-4567", "555-123-4567", "555.123.4567", "555 123 4567"),
    *("1-800-555-1234", "+1 (555) 123-4567", "+15551234567", "+44 20 7946 0958"),
    *("+49 (0)30 123456", "0044 20 7946 0958", "020 7946 0958", "(020) 7946 0958"),
    *("030/123 4567", "03-1234-5678", "06 12 34 56 78", "06.12.34.56.78", "555-0188"),
    *("555\u2011123\u20114567", "555\u00a0123\u00a04567", "＋44 20 7946 0958", "٥٥٥-١٢٣-٤٥٦٧"),
]


@pytest.mark.parametrize("number", PHONES)
def test_phone_numbers_go_however_they_are_written(number: str) -> None:
    assert redact(f"so {number}, ok?") == "so [phone], ok?"


@pytest.mark.parametrize(
    "number", ["98765 43210", "612 345 678", "555 1234", "5551234", "71 23 45 67"]
)
@pytest.mark.parametrize("words", ["call me at", "my phone number is", "Cell:", "whatsapp"])
def test_a_word_tells_a_phone_number_that_could_be_something_else(number: str, words: str) -> None:
    assert redact(f"{words} {number} thanks") == f"{words} [phone] thanks"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("i am A00123456.", "i am [student id]."),
        ("a00123456", "[student id]"),
        ("A-00123456, A 00123456", "[student id], [student id]"),
        ("A 0012 3456", "[student id]"),
        ("A 00 12 34 56", "[student id]"),
        ("Ａ００１２３４５６", "[student id]"),
        ("student id: 12345", "student id: [student id]"),
        ("my student ID number is 7 654 321", "my student ID number is [student id]"),
        ("id number 2023 4567", "id number [student id]"),
        ("Student No. S1234567", "Student No. [student id]"),
        ("matriculation number 1234567", "matriculation number [student id]"),
        ("ridgecard 6001 2345 6789 0123", "ridgecard [card]"),
        ("my ridge id is jdoe12", "my ridge id is [student id]"),
        ("username: ana.lopez3", "username: [student id]"),
    ],
)
def test_student_ids_go_ours_and_those_that_a_word_announces(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("4111 1111 1111 1111", "[card]"),
        ("4111-1111-1111-1111", "[card]"),
        ("4111.1111.1111.1111", "[card]"),
        ("4111111111111111", "[card]"),
        ("4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1", "[card]"),
        ("4111 1111 1111 1112", "[card]"),  # a slip of the pen
        ("3782 822463 10005", "[card]"),
        ("passport number X1234567", "passport number [passport]"),
        ("my passport is 12AB34567.", "my passport is [passport]."),
        ("Passport No: AB 1234567", "Passport No: [passport]"),
        ("passport C01X00T47", "passport [passport]"),
    ],
)
def test_cards_and_passports_go(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "number",
    [
        *("123456", "12345678", "B1234567", "ab123456", "12345678901234567890123"),
        *(
            "123-45-6789",
            "123 45 6789",
            "٠١٢٣٤٥٦٧",
            "1 2 3 4 5 6 7 8",
            "DE89 3704 0044 0532 0130 00",
        ),
    ],
)
def test_other_long_numbers_go(number: str) -> None:
    assert redact(f"so {number}.") == "so [number]."
    assert redact(f"so:{number},(x)") == "so:[number],(x)"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("My name is Ana Lopez and i need help", "My name is [name] and i need help"),
        ("my name is ana lopez and i need help", "my name is [name] and i need help"),
        ("MY NAME IS ANA LOPEZ AND I NEED HELP", "MY NAME IS [name] AND I NEED HELP"),
        ("my name's wei, hi", "my name's [name], hi"),
        ("my name is mohammed al fayed", "my name is [name]"),
        ("my name is Jean-Pierre O'Neill.", "my name is [name]."),
        ("My name is José María García-López. I need", "My name is [name]. I need"),
        ("my name is Dr. Ana M. Lopez, hello", "my name is [name], hello"),
        ("my name is Ana. Where is bio", "my name is [name]. Where is bio"),
        ("first name is Ana, last name is Lopez", "first name is [name], last name is [name]"),
        ("my roommate's name is Kyle", "my roommate's name is [name]"),
        ("name: Ana Lopez", "name: [name]"),
        ("i'm called Ana", "i'm called [name]"),
        ("people call me ana", "people call me [name]"),
        ("This is Ana Lopez from bio 101", "This is [name] from bio 101"),
        ("hi this is ana from bio", "hi this is [name] from bio"),
        ("Hello, I'm Ana Lopez, a sophomore", "Hello, I'm [name], a sophomore"),
        ("change my name from Ana Smith to Ana Lopez", "change my name from [name] to [name]"),
        ("my name is spelled Anna not Ana", "my name is spelled [name] not [name]"),
        ("when is it?\nRegards,\nAna Lopez", "when is it?\nRegards,\n[name]"),
        ("me llamo ana", "me llamo [name]"),
        ("我叫张伟", "我叫[name]"),
    ],
)
def test_names_go_where_a_person_gives_one(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize(
    "text",
    [
        "my name is spelled wrong on my diploma",
        "My Name Is Spelled Wrong On My Diploma",
        "MY NAME IS WRONG ON THE BILL",
        "my name changed",
        "my name is not on the list, her name is on the chip",
        "my name is missing, my name is hyphenated, my name was cut off",
        "my legal name is different from my preferred name",
        "how do i change my name to my married name",
        "course name: Intro to Biology, file name: report",
        "call me back, who do i call, they never called me back",
        "this is the third time, this is urgent, this is mail from the registrar",
        "I'm African American, any groups? I'm a Computer Science major",
        "thanks, where is the library? Thanks!",
        "is Grace Hall open, and who was Ana Lopez",
        "i found it at amazon.com, apply at commonapp.org, look at a.b",
        "meet @ noon. bring food, @hub a@b user@localhost",
    ],
)
def test_what_only_looks_like_a_name_or_an_address_stays(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "how do i appeal a grade in CS 101",
        "fall 2025, 2024-2025, 2024 2025 2026, 2022 2023 2024 2025, a 2024-2025 catalog",
        "12/05/2025 2025-12-05 05.12.2025 14:30 05-12-2025 10:30",
        "room 214, room 214-1234, apt 5, building 12345, class number 12345, course id 12345",
        "cs 101 102 201 or 101 201 301",
        "$1,250.00 $123456 €150000 $1,234,567.89 10,000 people 150000 dollars",
        "3.1415926 0.123456",
        "10:30-11:45, 9:00 10:00, 24/7",
        "I-20, F-1, 1098-T, W-2, section 001-0123, call 911 or 988",
        "i got 95 85 70 100 90 88 71 22",
        "my passport expires in 2027, photo 35x45, my id is expired",
        "isbn 978-0-13-468599-1, ISBN 0134685997, 9780134685991",
        "doi 10.1145/3442188.3445922",
        "متى الامتحان 🎓 ۲۰۲۵",
        "[email] [phone] [student id] [card] [passport] [name] [number]",
        "my name is [name], student id [student id], passport [passport], call [phone]",
        "",
    ],
)
def test_years_dates_courses_rooms_books_and_amounts_stay(text: str) -> None:
    assert redact(text) == text


def test_neighbours_do_not_hide_each_other() -> None:
    assert redact("555-123-4567,020 7946 0958") == "[phone],[phone]"
    assert redact("...123456") == "...[number]"
    assert redact("a@b.co 555-123-4567 123456") == "[email] [phone] [number]"


def test_of_all_our_own_queries_only_these_change() -> None:
    """Each was looked at: two names, and a number that could be anybody's."""
    lines = (DATA / "synthetic_queries.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    changed = [(text, redact(text)) for text in texts if redact(text) != text]
    assert len(changed) <= 3
    looked_at = ("hi my name is Wei", "my therapist says a cat", "123456789")
    assert all(text.startswith(looked_at) for text, _ in changed)


PIECES = [
    *("123456", "555-123-4567", "+1", "(020)", "4111 1111 1111 1111", "a@b.co", "123-45-6789"),
    *("020 7946 0958", ".", ",", "-", " ", "$", "0", "12", "2025", "x", "/", "1", "(", ")"),
    *("my name is ", "Ana", "lopez", " not ", "this is ", " from ", "student id ", "passport "),
    *("A0012", "3456", "call me ", "name: ", " at ", " dot ", "com", "[name]", "[student id]"),
    *("'", "\u200b", "３", "é", "isbn ", "978", "de", "AB12", "my id is "),
]


def test_redacting_twice_changes_nothing() -> None:
    chance = random.Random(2)
    for _ in range(10_000):
        text = "".join(chance.choices(PIECES, k=chance.randint(1, 9)))
        once = redact(text)
        assert redact(once) == once, text


REPEATED = [
    *(
        "a",
        "1 ",
        "1-",
        "(",
        "+1",
        "a@",
        "a@a.",
        "0 ",
        ".1",
        "123 ",
        "+1(",
        "4111 ",
        "a dot ",
        "a at ",
    ),
    *(
        "my name is ",
        "name is a. ",
        "this is ",
        "student id ",
        "id 1",
        "1-id 1",
        "passport 1 ",
        "A1",
    ),
    *("phone 1", "978-", "de12 abcd ", "10.1234/", "[at]a", "A. ", "[name] not ", "de ", "O'", "٣"),
]


@pytest.mark.parametrize("piece", REPEATED)
def test_the_time_grows_with_the_length_of_a_text_whatever_it_repeats(piece: str) -> None:
    for text in ((piece * 2_000)[:2_000], (f"{piece}my name is 1" * 2_000)[:2_000]):
        began_s = time.process_time()
        redact(text)
        assert time.process_time() - began_s < 0.1


def test_a_query_is_redacted_in_no_time() -> None:
    lines = (DATA / "synthetic_queries.jsonl").read_text().splitlines()
    texts = [json.loads(line)["text"] for line in itertools.islice(lines, 0, None, 20)]
    taken_ms: list[float] = []
    for text in texts:
        began_s = time.process_time()
        redact(text)
        taken_ms.append((time.process_time() - began_s) * 1000)
    taken_ms.sort()
    assert taken_ms[len(taken_ms) // 2] < 0.15
