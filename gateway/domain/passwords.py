"""Passwords: what one must be like. Length counts and nothing else (NIST SP 800-63B §3.1.1)."""

import unicodedata

from contracts.problems import Invalid

SHORTEST = 12
LONGEST = 256

# fmt: off
COMMONEST = frozenset(
    {
        "000000000000", "111111111111", "121212121212", "123123123123", "123321123321", "123412341234",
        "123456123456", "123456789012", "1234567890123", "1234567890qwerty", "1234567891011", "123456789abc",
        "123456qwerty", "123qweasdzxc", "1q2w3e4r5t6y", "1q2w3e4r5t6y7u8i", "1qaz2wsx3edc", "1qaz2wsx3edc4rfv",
        "1qazxsw23edc", "a1b2c3d4e5f6", "abc123abc123", "abcd12345678", "abcdefgh1234", "abcdefghijkl",
        "abcdefghijklm", "admin1234567", "adminadmin123", "adminadminadmin", "administrator", "administrator1",
        "asdfasdfasdf", "asdfghjkl123", "changeme1234", "changemechangeme", "changemenow1", "computer1234",
        "correcthorsebatterystaple", "dragondragon", "football1234", "iloveyou1234", "iloveyouiloveyou",
        "jesuschrist1", "letmein12345", "letmeinletmein", "liverpool123", "masterpassword", "monkeymonkey",
        "p@ssw0rd1234", "passw0rd1234", "password!234", "password1234", "password12345", "password123456",
        "password2024", "password2025", "password2026", "password@123", "passwordpassword", "princess1234",
        "q1w2e3r4t5y6", "qazwsxedcrfv", "qwerqwerqwer", "qwerty123456", "qwerty12345678", "qwertyqwerty",
        "qwertyuiop12", "qwertyuiop123", "qwertyuiop[]", "qwertyuiopasdf", "secretsecret", "starwars1234",
        "sunshine1234", "superman1234", "temporary123", "temppassword", "trustno1trustno1", "welcome12345",
        "welcome123456", "welcomewelcome", "zaq12wsxcde3", "zxcvbnm12345", "zxcvbnmasdfgh",
    }
)
# fmt: on
"""The commonest of those that are long enough, as they stand in lists of leaked ones."""


class WeakPassword(Invalid):
    """A password that would be guessed among the first."""


def canonical(password: str) -> str:
    """The one spelling of a password that keyboards write differently (RFC 8265 §4.2)."""
    return unicodedata.normalize("NFC", password)


def check_password(password: str, *, email: str, name: str = "") -> None:
    """Raise `WeakPassword` for one that is too short, one of the commonest, or the person's own address or name."""
    plain = canonical(password).casefold()
    if len(plain) < SHORTEST:
        raise WeakPassword(f"A password has at least {SHORTEST} characters.", shortest=SHORTEST, reason="short")
    if len(plain) > LONGEST:
        raise WeakPassword(f"A password has at most {LONGEST} characters.", longest=LONGEST, reason="long")
    if len(set(plain)) < 3 or plain in COMMONEST:
        raise WeakPassword("This is one of the passwords that are tried first; choose another one.", reason="common")
    own = {email.casefold(), email.partition("@")[0].casefold(), name.casefold().replace(" ", "")}
    if plain in {each * times for each in own if each for times in (1, 2, 3)}:
        raise WeakPassword("A password is not your address or your name.", reason="own")
