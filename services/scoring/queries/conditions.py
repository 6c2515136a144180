"""Conditions of a query, each with the values that it takes, in the places that are left."""


class Conditions:
    """What a query asks for beyond its first arguments."""

    def __init__(self, *arguments: object) -> None:
        self.arguments: list[object] = list(arguments)
        self._texts: list[str] = []

    def add(self, text: str, *values: object) -> None:
        """One more, `{}` standing for each value."""
        places = [f"${len(self.arguments) + nth}" for nth in range(1, len(values) + 1)]
        self.arguments.extend(values)
        self._texts.append(f" AND {text.format(*places)}")

    def equal(self, **values: object) -> None:
        """Columns that have a value; None asks for nothing."""
        for column, value in values.items():
            if value is not None:
                self.add(f"{column} = {{}}", value)

    def __str__(self) -> str:
        return "".join(self._texts)
