"""The words in headers: which field a column's name speaks of."""

import re
import unicodedata

from services.customers.domain.imports.fields import Field


def words_of(header: str) -> list[str]:
    """The words of a header: `InvoiceDate`, `invoice_date` and `Invoice Date` have the same; Han is cut by a list."""
    text = unicodedata.normalize("NFKC", header).strip()
    text = re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", text).lower()
    for han, word in HAN.items():
        text = text.replace(han, f" {word} ")
    return [word for word in re.split(r"[\W_]+", text) if word]


def _weighted(words: dict[int, str]) -> dict[str, int]:
    return {word: weight for weight, line in words.items() for word in line.split()}


FIELD_WORDS = {
    Field.PARTY: _weighted(
        {
            3: "party customer cust client buyer member household account kunde cliente",
            2: "customerid custid clientid kundennr kundennummer shopper patron user contact",
        }
    ),
    Field.ORDER_ID: _weighted(
        {
            3: "order invoice basket transaction receipt",
            2: "orderid invoiceno ticket bill purchase sale bestellung rechnung pedido",
        }
    ),
    Field.OCCURRED_AT: _weighted(
        {
            3: "date timestamp datetime ts occurred purchased ordered datum fecha",
            2: "time created when day returned",
            0: "at on order invoice purchase transaction sale return",
        }
    ),
    Field.AMOUNT: _weighted(
        {
            4: "amount amt total betrag summe importe",
            3: "sum value sales revenue turnover umsatz",
            2: "price spend spent payment paid gross net refund",
        }
    ),
    Field.CURRENCY: _weighted({3: "currency curr ccy waehrung währung moneda"}),
    Field.CHANNEL: _weighted({3: "channel kanal canal"}),
    Field.PRODUCT: _weighted({3: "product sku item article artikel stock"}),
    Field.ORIGINAL_ORDER_ID: _weighted({4: "original orig", 1: "order invoice purchase basket transaction"}),
}
"""How surely a word means a field; with 0 it may stand beside a word that does."""

RETURN_ID_WORDS = FIELD_WORDS[Field.ORDER_ID] | _weighted({4: "return refund rma credit"})
"""What the id of a return is called."""

ID_WORDS = frozenset(_weighted({0: "id no nr num number key code ref unique nummer numero"}))

SPOILERS = frozenset(
    _weighted(
        {
            0: "name email mail phone address city country state zip segment type status qty quantity count unit units "
            "tax vat discount shipping freight delivery delivered shipped due birth updated modified cost weight "
            "category brand lines items age gender parent line original date time timestamp datetime ts day month year"
        }
    )
)
"""Words that make a column something else than the field beside whose name they stand."""

HAN = {
    "編號": "id",
    "编号": "id",
    "客戶": "customer",
    "客户": "customer",
    "顧客": "customer",
    "顾客": "customer",
    "會員": "member",
    "会员": "member",
    "訂單": "order",
    "订单": "order",
    "發票": "invoice",
    "发票": "invoice",
    "交易": "transaction",
    "日期": "date",
    "時間": "time",
    "时间": "time",
    "金額": "amount",
    "金额": "amount",
    "總額": "total",
    "总额": "total",
    "幣別": "currency",
    "币种": "currency",
    "渠道": "channel",
    "通路": "channel",
    "商品": "product",
    "產品": "product",
    "产品": "product",
    "退貨": "return",
    "退货": "return",
    "名稱": "name",
    "名称": "name",
    "姓名": "name",
    "單價": "unit price",
    "单价": "unit price",
    "原": "original",
}
