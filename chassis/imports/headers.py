"""The words in headers: which field a column's name speaks of."""

import re
import unicodedata
from collections.abc import Mapping


def words_of(header: str) -> list[str]:
    """The words of a header: `InvoiceDate`, `invoice_date` and `Invoice Date` have the same; Han is cut by a list."""
    text = unicodedata.normalize("NFKC", header).strip()
    text = re.sub(r"(?<=[a-z\d])(?=[A-Z])", " ", text).lower()
    for han, word in HAN.items():
        text = text.replace(han, f" {word} ")
    return [word for word in re.split(r"[\W_]+", text) if word]


def weighted(words: Mapping[int, str]) -> dict[str, int]:
    """Words by how surely they mean a field; with 0 they may stand beside one that does."""
    return {word: weight for weight, line in words.items() for word in line.split()}


ID_WORDS = frozenset(weighted({0: "id no nr num number key code ref unique nummer numero"}))

SPOILERS = frozenset(
    weighted(
        {
            0: "name email mail phone address city country state zip segment type status qty quantity count unit units "
            "tax vat discount shipping freight delivery delivered shipped due birth updated modified cost weight "
            "category brand lines items age gender parent line original date time timestamp datetime ts day month year "
            "fee fees insurance refund refunded certificate balance tip commission owner group rating manager "
            "company converted first given middle last family nick maiden"
        }
    )
)
"""Words that make a column something else than the field beside whose name they stand."""

TAXES = frozenset({"tax", "taxes", "vat", "gst"})
WITH_OR_WITHOUT = frozenset({"inc", "incl", "including", "ex", "excl", "excluding"})
"""Where one of these stands, a tax that is named is not what the column holds."""

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
    "電子郵件": "email",
    "电子邮件": "email",
    "信箱": "email",
    "邮箱": "email",
    "電話": "phone",
    "电话": "phone",
    "手機": "phone",
    "手机": "phone",
    "商品": "product",
    "產品": "product",
    "产品": "product",
    "退貨": "return",
    "退货": "return",
    "名稱": "name",
    "名称": "name",
    "姓名": "name",
    "數量": "quantity",
    "数量": "quantity",
    "單價": "unit price",
    "单价": "unit price",
    "原": "original",
}
