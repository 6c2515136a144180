"""Conditions of a query, each with the values that it takes, in the places that are left."""


class Conditions:
    """What a query asks for beyond its first arguments."""

    def __init__(self, *arguments: object) -> None:
        self.arguments: list[object] = list(arguments)
        self._texts: list[str] = []

    def place(self, value: object) -> str:
        """The place of one more argument."""
        self.arguments.append(value)
        return f"${len(self.arguments)}"

    def add(self, text: str, *values: object) -> None:
        """One more, `{}` standing for each value; nothing is asked for where the first value is None."""
        if not values or values[0] is not None:
            self._texts.append(text.format(*map(self.place, values)))

    def equal(self, **values: object) -> None:
        """Columns that have a value; None asks for nothing."""
        for column, value in values.items():
            self.add(f"{column} = {{}}", value)

    def either(self, **values: object) -> None:
        """Columns of which at least one has its value; none has None."""
        self._texts.append(f"({' OR '.join(f'{column} = {self.place(value)}' for column, value in values.items())})")

    def __str__(self) -> str:
        """All of them, behind a condition that stands already."""
        return "".join(f" AND {text}" for text in self._texts)
