"""People for tests of the console, made as an administrator makes them."""

from collections.abc import Callable

from tests.system.product import Product

PASSWORD = "a heron stands in the reeds"

Invite = Callable[..., str]


def inviting(product: Product) -> Invite:
    """Make somebody with roles, and give the link by which they set a password."""

    def invited(email: str, *roles: str) -> str:
        wanted = {"name": email.partition("@")[0].title(), "email": email, "roles": list(roles)}
        made = product.client.post("/v1/users", json=wanted)
        assert made.status_code == 201, made.text
        path: str = made.json()["invitation"]["path"]
        return path

    return invited
