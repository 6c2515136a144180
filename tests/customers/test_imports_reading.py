import io
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from chassis.imports.dates import instant
from chassis.imports.files import table_of
from chassis.imports.mapping import ColumnMissing, UnknownColumn, UnknownField, mapping_of
from chassis.imports.plans import Plan, Refusal
from chassis.imports.reasons import Reason
from chassis.imports.understanding import read
from chassis.imports.uploads import plan_of
from contracts.identity import Installation, Scheme
from services.customers.handlers.imports.orders import Entry, Order, OrderReason
from services.customers.handlers.imports.purchases import PURCHASES, RETURNS

TAIPEI, BERLIN = ZoneInfo("Asia/Taipei"), ZoneInfo("Europe/Berlin")
HERE = Installation(b"k" * 32, TAIPEI)
LATEST = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "columns", "row", "expected"),
    [
        (
            PURCHASES,
            "customer_id,master_id,order_id,ts,qty,amount",
            "1,4,1,1997-01-01,2,29.33",
            "party=customer_id order_id=order_id occurred_at=ts amount=amount",
        ),
        (
            PURCHASES,
            "customer_id,order_id,ts,amount,lines,store_id,coupon",
            "900,31198570044,2017-01-01 11:53:26,0.5,1,330,0.0",
            "party=customer_id order_id=order_id occurred_at=ts amount=amount",
        ),
        (
            PURCHASES,
            "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
            "536365,85123A,HEART,6,12/1/2010 8:26,2.55,17850,United Kingdom",
            "party=CustomerID order_id=InvoiceNo occurred_at=InvoiceDate product=StockCode quantity=Quantity "
            "unit_price=UnitPrice",
        ),
        (
            PURCHASES,
            "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
            "489434,85048,BALL,12,2009-12-01 07:45:00,6.95,13085,United Kingdom",
            "party=Customer ID order_id=Invoice occurred_at=InvoiceDate product=StockCode quantity=Quantity "
            "unit_price=Price",
        ),
        (
            PURCHASES,
            "order_id,customer,date,price,qty,line total",
            "o1,c1,2024-03-01,5,2,10",
            "party=customer order_id=order_id occurred_at=date amount=line total",
        ),
        (
            PURCHASES,
            "order_id,date,status,customer_id,fee_total,shipping_total,discount_total,order_total",
            "1,2024-03-01,completed,9,0,0,0,12.50",
            "party=customer_id order_id=order_id occurred_at=date amount=order_total",
        ),
        (
            PURCHASES,
            "Order ID,Order Date,Customer ID,Order Refund Amount,Order Total (inc tax),Tax Total",
            "1,2024-03-01,9,0,12.50,2",
            "party=Customer ID order_id=Order ID occurred_at=Order Date amount=Order Total (inc tax)",
        ),
        (
            PURCHASES,
            "Date,Type,Gross,Fee,Net,Transaction ID,Insurance Amount,Balance,Customer Group,Customer",
            "2024-03-01,Sale,12.50,-0.70,11.80,T1,,100,Retail,c1",
            "party=Customer order_id=Transaction ID occurred_at=Date amount=Gross",
        ),
        (
            PURCHASES,
            "Account Name,Account ID,Contact ID,Order Date,Amount",
            "Acme,A1,C1,2024-03-01,5",
            "party=Contact ID occurred_at=Order Date amount=Amount",
        ),
        (
            PURCHASES,
            "TRANSACTION_DT,CUSTOMER_ID,PRODUCT_ID,Price",
            "2000-11-01,00001,47102,24",
            "party=CUSTOMER_ID occurred_at=TRANSACTION_DT amount=Price product=PRODUCT_ID",
        ),
        (
            PURCHASES,
            "訂單編號,客戶編號,訂單日期,商品,數量,單價",
            "A1,C1,2024/03/01,茶,3,120",
            "party=客戶編號 order_id=訂單編號 occurred_at=訂單日期 product=商品 quantity=數量 unit_price=單價",
        ),
        (
            PURCHASES,
            "household_id,store_id,basket_id,product_id,quantity,sales_value,transaction_timestamp",
            "900,330,31198570044,1095275,1,0.5,2017-01-01 11:53:26",
            "party=household_id order_id=basket_id occurred_at=transaction_timestamp amount=sales_value "
            "product=product_id",
        ),
        (
            PURCHASES,
            "訂單編號,客戶編號,客戶姓名,訂單日期,金額,幣別,通路",
            "A1,C1,王,2024/03/01,1200,TWD,門市",
            "party=客戶編號 order_id=訂單編號 occurred_at=訂單日期 amount=金額 currency=幣別 channel=通路",
        ),
        (
            PURCHASES,
            "Client Name,Client No.,Invoice Date,Invoice,Total Price,Currency,Sales Channel,SKU",
            'Ann,7,2024-03-01,R1,"1,200.00",USD,Web Shop,S1',
            "party=Client No. order_id=Invoice occurred_at=Invoice Date amount=Total Price currency=Currency "
            "channel=Sales Channel product=SKU",
        ),
        (
            RETURNS,
            "return_id,order_id,customer,return_date,refund_amount",
            "r1,o1,c1,2024-03-01,-5",
            "party=customer order_id=return_id occurred_at=return_date amount=refund_amount original_order_id=order_id",
        ),
        (
            RETURNS,
            "Refund ID,Order ID,Customer ID,Refund Date,Refund Amount",
            "r1,o1,c1,2024-03-01,5",
            "party=Customer ID order_id=Refund ID occurred_at=Refund Date amount=Refund Amount "
            "original_order_id=Order ID",
        ),
        (
            PURCHASES,
            "customer,date,qty,price,gross",
            "c1,2024-03-01,2,5,12",
            "party=customer occurred_at=date amount=gross",
        ),
        (
            RETURNS,
            "customer_id,original_order_id,date,amount",
            "c1,o1,2024-03-01,5",
            "party=customer_id occurred_at=date amount=amount original_order_id=original_order_id",
        ),
        (
            PURCHASES,
            "party,order_id,occurred_at,amount,currency,channel,product,line",
            "c1,o1,2024-03-01,5,EUR,web,p,1",
            "party=party order_id=order_id occurred_at=occurred_at amount=amount currency=currency channel=channel "
            "product=product",
        ),
    ],
)
def test_the_mapping_is_guessed_from_names_and_values(kind, columns, row, expected):
    table = table_of(io.BytesIO(f"{columns}\n{row}\n".encode()))
    mapping = mapping_of(kind, table.columns, [cells for _, cells in table.rows], {})
    assert " ".join(f"{field}={column}" for field, column in mapping.items()) == expected


def test_a_column_whose_values_do_not_fit_is_not_guessed():
    with pytest.raises(ColumnMissing) as caught:
        mapping_of(PURCHASES, ["customer", "date"], [["1", "n/a"]], {})
    assert caught.value.extensions == {"field": "occurred_at", "columns": ["customer", "date"]}


def test_what_was_said_goes_before_what_is_guessed():
    columns, sample = ["customer_id", "master_id", "date", "amount"], [["1", "4", "1997-01-01", "2"]]
    mapping = mapping_of(PURCHASES, columns, sample, {"party": "Master ID", "amount": ""})
    assert mapping == {"party": "master_id", "occurred_at": "date"}


def test_an_amount_that_every_line_of_an_order_repeats_is_no_amount_of_a_line():
    columns = ["customer", "order_id", "product", "date", "total"]
    rows = [["c1", order, product, "2024-01-01", "5"] for order in ("o1", "o2") for product in "ab"]
    assert "line" not in mapping_of(PURCHASES, columns, rows, {})
    one_differs = [*rows, ["c1", "o2", "c", "2024-01-01", "7"]]
    assert mapping_of(PURCHASES, columns, one_differs, {})["line"] == "product"


def test_who_it_was_is_guessed_once():
    columns, row = ["Sales Rep Email", "Date", "Total"], ["rep@example.org", "2024-01-01", "5"]
    assert mapping_of(PURCHASES, columns, [row], {})["email"] == "Sales Rep Email"
    columns, row = [*columns, "Customer"], [*row, "c1"]
    assert "email" not in mapping_of(PURCHASES, columns, [row], {})
    assert mapping_of(PURCHASES, columns, [row], {"email": "Sales Rep Email"})["email"] == "Sales Rep Email"


def test_an_amount_that_is_said_leaves_quantity_and_unit_price_alone():
    columns, sample = ["customer", "date", "qty", "price"], [["1", "1997-01-01", "2", "9.99"]]
    assert mapping_of(PURCHASES, columns, sample, {"amount": "price"})["amount"] == "price"
    for said in ({"amount": "price"}, {"amount": ""}):
        assert not {"quantity", "unit_price"} & mapping_of(PURCHASES, columns, sample, said).keys()


def test_a_unit_price_alone_is_no_amount():
    columns, sample = ["customer", "date", "price"], [["1", "1997-01-01", "9.99"]]
    with pytest.raises(ColumnMissing) as caught:
        mapping_of(PURCHASES, columns, sample, {"unit_price": "price"})
    assert caught.value.extensions["field"] == "quantity"
    assert mapping_of(PURCHASES, columns, sample, {"unit_price": "price"}, constants={"quantity": "1"})


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (["c1,o1,tea", "c1,o1,cup", "c2,o2,tea"], "product"),
        (["c1,o1,tea", "c1,o1,tea", "c2,o2,tea"], None),
        (["c1,o1,tea", "c2,o1,cup"], None),
        (["c1,,tea", "c1,,cup"], None),
    ],
    ids=["several products", "the same again", "ids of each customer's own", "no ids"],
)
def test_rows_are_lines_where_an_order_names_several_products(rows, line):
    columns = ["customer", "order_id", "product", "date"]
    sample = [[*row.split(","), "2024-01-01"] for row in rows]
    assert mapping_of(PURCHASES, columns, sample, {}).get("line") == line
    assert "line" not in mapping_of(PURCHASES, columns, sample, {"line": ""})


def test_a_wrong_name_is_answered_with_those_that_exist():
    with pytest.raises(UnknownColumn) as column:
        mapping_of(PURCHASES, ["a", "b"], [], {"party": "c"})
    with pytest.raises(UnknownField) as field:
        mapping_of(PURCHASES, ["a", "b"], [], {"original_order_id": "a"})
    assert column.value.extensions == {"columns": ["a", "b"]}
    assert "party" in field.value.extensions["fields"]


COLUMNS = ("party", "order_id", "occurred_at", "amount", "currency")


def customer(id: str) -> object:
    return HERE.identity(Scheme.EXTERNAL, id, system="shop")


def plan(kind=PURCHASES) -> Plan:
    mapping = {name: name for name in COLUMNS}
    return plan_of(
        kind, COLUMNS, mapping, installation=HERE, source="shop", currency="EUR", times=BERLIN, latest=LATEST
    )


def taken(text: str, kind=PURCHASES) -> Any:
    told = read(kind, plan(kind), 7, text.split(","))
    return told.lines[0] if isinstance(told, Order) else told


def test_a_row_becomes_a_purchase():
    assert taken(" c1 ,o1,2024-07-01 12:00,12.5,usd") == Entry(
        7, customer("c1"), datetime(2024, 7, 1, 10, tzinfo=UTC), 1250, "USD", "o1"
    )
    decimal = taken("17817.0,36.0,2024-07-01,,")
    assert (decimal.party, decimal.order_id) == (customer("17817"), "36")
    assert taken("c1,o1,2024-07-01,,") == Entry(
        7, customer("c1"), datetime(2024, 6, 30, 16, tzinfo=UTC), 0, "EUR", "o1", currency_said=False
    )


@pytest.mark.parametrize(
    ("quantity", "price", "amount"),
    [
        ("12", "6.95", 8340),
        ("0.375", "12.99", 487),
        ("3", "0.335", 100),
        ("1,000", "£0.125", 12_500),
        ("-2", "2.50", OrderReason.NEGATIVE_AMOUNT),
        ("", "2.50", Reason.BAD_AMOUNT),
        ("two", "2.50", Reason.BAD_AMOUNT),
        ("0,375", "12", 450),
        ("-1", "-5", 500),
        ("1." + "0" * 5_000, "2", Reason.BAD_AMOUNT),
        ("2", "$x", Reason.BAD_AMOUNT),
        ("9" * 20, "9" * 20, Reason.BAD_AMOUNT),
        ("2", "", 0),
    ],
)
def test_a_quantity_at_a_unit_price_is_an_amount(quantity, price, amount):
    columns = ("party", "occurred_at", "quantity", "unit_price")
    sold = plan_of(
        PURCHASES,
        columns,
        {name: name for name in columns},
        installation=HERE,
        source="shop",
        currency="GBP",
        times=UTC,
        latest=LATEST,
    )
    told = read(PURCHASES, sold, 2, ["c1", "2024-07-01", quantity, price])
    assert (told.reason if isinstance(told, Refusal) else told.amount_minor) == amount


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (" ,o1,2024-07-01,1,", Reason.NO_PARTY),
        ("NULL,o1,2024-07-01,1,", Reason.NO_PARTY),
        ("nan,o1,2024-07-01,1,", Reason.NO_PARTY),
        ("4.7102E+12,o1,2024-07-01,1,", Reason.BAD_PARTY),
        ("c\x07,o1,2024-07-01,1,", Reason.BAD_PARTY),
        ("c1,,2024-07-01,1,", OrderReason.BAD_ORDER_ID),
        ("c1,NULL,2024-07-01,1,", OrderReason.BAD_ORDER_ID),
        ("c1,o1,,1,", Reason.NO_DATE),
        ("c1,o1,01/02/2024,1,", Reason.AMBIGUOUS_DATE),
        ("c1,o1,2026-01-02,1,", Reason.FUTURE_DATE),
        ("c1,o1,2024-07-01,-1,", OrderReason.NEGATIVE_AMOUNT),
        ("c1,o1,2024-07-01,1,EURO", Reason.BAD_CURRENCY),
        ("c1,o1,2024-07-01,1,EUR,more", Reason.TOO_MANY_CELLS),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(text, reason):
    assert taken(text).reason is reason


def test_the_amount_of_a_return_has_either_sign():
    amounts = {taken(f"c1,o1,2024-07-01,{text},", RETURNS).amount_minor for text in ("5", "-5", "(5)")}
    assert amounts == {500}


def test_a_date_up_to_a_day_ahead_is_taken():
    assert isinstance(taken("c1,o1,2026-01-01,1,"), Entry)
    assert instant("2026-01-02", order=None, times=UTC, days=TAIPEI) - LATEST == timedelta(hours=16)
