"""The parts of a reason in Chinese: written in traditional characters, and told in simplified ones by a table."""

from collections.abc import Callable, Mapping, Sequence

from contracts.scoring import Band, Stage
from services.scoring.domain.grades import Flag
from services.scoring.domain.overrides import NUMBERS, Field
from services.scoring.domain.reasons.coming import Change, Coming, Output
from services.scoring.domain.reasons.indexes import IndexGround
from services.scoring.domain.reasons.otherwise import Otherwise
from services.scoring.domain.reasons.overriding import OverrideGround
from services.scoring.domain.reasons.potential import PotentialGround
from services.scoring.domain.reasons.reason import Reason
from services.scoring.domain.wording import amount, counted, decisive, number, percent

WORDS: Mapping[str, Mapping[str, str]] = {
    "stage": {
        "stranger": "陌生新客戶",
        "prospect": "新潛在客戶",
        "dormant_prospect": "潛在期休眠客戶",
        "lost_prospect": "潛在期流失客戶",
        "customer": "成交客戶",
        "dormant_customer": "休眠的成交客戶",
        "lost_customer": "流失的成交客戶",
    },
    "tier": {"top": "頂級", "high": "高", "mid": "中", "low": "低", "unproven": "尚未成交"},
    "satisfaction": {"low": "低", "middle": "中等", "high": "高", "unknown": "未知"},
    "loyalty": {"low": "低", "middle": "中等", "high": "高", "unknown": "未知"},
    "potential": {},
    "posture": {"developing": "持續發展", "steady": "保持平穩", "conservative": "相對保守"},
    "treatment": {"recover": "挽回", "care": "關懷", "develop": "培育", "win": "爭取", "serve": "一般服務"},
    "level": {"large": "大額", "medium": "中額", "small": "小額"},
    "flags": {"high_value": "高價值", "profit_making": "創利", "returning": "回頭客", "satisfied": "滿意"},
    "vip": {"True": "是", "False": "否", "true": "是", "false": "否"},
    **{flag: {"true": "是", "false": "否"} for flag in Flag},
    "loss_reason": {
        "price": "價格",
        "product": "產品不合需要",
        "quality": "品質",
        "service": "服務",
        "competitor": "轉向競爭對手",
        "no_need": "沒有需要",
        "no_budget": "沒有預算",
        "timing": "時機未到",
        "no_response": "沒有回應",
        "relationship": "關係中斷",
        "moved": "已遷離或停業",
        "not_a_customer": "並非客戶",
        "duplicate": "重複登記",
        "unknown": "不明",
    },
    "evidence": {
        "complaint": "投訴",
        "praise": "讚揚",
        "problem_opened": "提出問題",
        "problem_solved": "問題獲得解決",
        "problem_overdue": "問題逾期未解決",
        "return": "退貨",
        "late_answer": "回覆逾時",
        "rated_well": "接觸獲得好評",
        "rated_poorly": "接觸獲得差評",
        "repeat_purchase": "再次購買",
        "upgrade": "消費升級",
        "referral": "推薦他人",
        "referral_converted": "推薦成交",
        "participation": "社群參與",
        "anniversary": "購買週年",
    },
}
"""What each code is called; a name that an installation gave stays as it is."""
FIELDS: Mapping[str, str] = {
    "stage": "階段",
    "tier": "價值層級",
    "satisfaction": "滿意度",
    "loyalty": "忠誠度",
    "level": "營業額級別",
    "posture": "關係",
    "potential": "潛力",
    "treatment": "對待方式",
    "flags": "標記",
    "vip": "VIP",
    "high_value": "高價值",
    "profit_making": "創利",
    "returning": "回頭客",
    "satisfied": "滿意",
    "loss_reason": "流失原因",
    "value_minor": "價值",
    "turnover_minor": "營業額",
    "p": "購買機率",
    "satisfaction_index": "滿意度評分",
    "loyalty_index": "忠誠度評分",
}
"""What the parts of a standing are called."""


class Chinese:
    """See `Speech`. Every sentence is written in traditional characters, and told in those of the reader."""

    between = ""

    def __init__(self, told: Callable[[str], str]) -> None:
        self._told = told

    def stage(self, reason: Reason) -> str:
        """See `Speech`."""
        ground = reason.stage
        why = "" if ground.loss_reason is None else f"，流失原因：{_word('loss_reason', ground.loss_reason)}"
        return self._told(f"{self._decided(reason)}：{_word('stage', ground.stage)}{why}。")

    def _decided(self, reason: Reason) -> str:
        ground, bought, chances = reason.stage, reason.bought, reason.chances
        last, sign, silent = ground.last_purchase_day, ground.last_sign_day, ground.silent_days
        if ground.rule == "declined_after_last_purchase":
            alone = self._alone(silent, ground.lost_after_days) if ground.by == "days" else ""
            return f"最近一次購買是 {last}，其後於 {ground.declined_day} 表明不再購買{alone}"
        if ground.rule == "declared_lost_since_last_sign":
            interest = "從未表示興趣" if sign is None else f"最近一次表示興趣是 {sign}"
            alone = self._alone(silent, ground.prospect_lost_after_days)
            return f"{interest}，已於 {ground.declared_day} 確認流失{alone}"
        if ground.by == "probability" and bought and chances:
            times = f"只購買過一次，於 {last}" if not bought.x else f"共在 {bought.x + 1} 天購買過，最近一次是 {last}"
            limits = f"低於 {percent(ground.dormant_below)} 為休眠，低於 {percent(ground.lost_below)} 為流失"
            fresh = ""
            if ground.rule == "silent_days_within_fresh_days":
                fresh = f"；購買後 {ground.fresh_days} 天內一律視為成交客戶"
            p = percent(chances.p, ground.dormant_below, ground.lost_below)
            return f"{times}，距今 {silent} 天，{chances.horizon_days} 天內再次購買的機率為 {p}（{limits}{fresh}）"
        if last is not None:
            limits = f"超過 {ground.dormant_after_days} 天為休眠，超過 {ground.lost_after_days} 天為流失"
            return f"最近一次購買是 {last}，距今 {silent} 天（{limits}）"
        if sign is not None:
            limits = f"超過 {ground.active_days} 天為休眠，超過 {ground.prospect_lost_after_days} 天為流失"
            return f"最近一次表示興趣是 {sign}，距今 {silent} 天（{limits}）"
        return "僅知其存在，尚無有效的購買或表示興趣的紀錄"

    @staticmethod
    def _alone(silent: int | None, lost_after_days: int) -> str:
        """Said of a declaration that silence has overtaken: without it the stage is the same."""
        if silent is None or silent <= lost_after_days:
            return ""
        return f"（僅憑 {silent} 天沒有動靜，超過 {lost_after_days} 天，也已算流失）"

    def worth(self, reason: Reason) -> str:
        """See `Speech`."""
        tier, currency, chances, days = reason.tier, reason.currency, reason.chances, reason.turnover.window_days
        is_tier = f"價值層級為「{_word('tier', tier.tier)}」"
        if tier.as_set is not None:
            return self._told(f"價值由人工設為 {counted(Field.VALUE_MINOR, tier.as_set, currency)}：{is_tier}。")
        left_out = "".join(
            f"（{amount(minor, code)} {code} 沒有匯率，未計入）"
            for code, minor in sorted(reason.turnover.unconverted.items())
        )
        if currency is None:
            return self._told(f"尚無可供換算的報告貨幣：{is_tier}。")
        worth = f"{amount(tier.value_minor, currency)} {currency}"
        if tier.by == "expected" and chances and chances.amount_minor is not None:
            each = f"{amount(round(chances.amount_minor), currency)} {currency}"
            return self._told(
                f"預期未來 {chances.value_days} 天購買 {number(chances.purchases)} 次，每次 {each}，"
                f"合計 {worth}：{is_tier}。"
            )
        return self._told(f"最近 {days} 天的淨營業額為 {worth}{left_out}：{is_tier}。")

    def potential(self, ground: PotentialGround) -> str:
        """See `Speech`."""
        return self._told(f"潛力為 {ground.potential}：其商機最近一次評級是 {ground.graded_on}。")

    def satisfaction(self, ground: IndexGround) -> str:
        """See `Speech`."""
        return self._index("satisfaction", ground)

    def loyalty(self, ground: IndexGround) -> str:
        """See `Speech`."""
        return self._index("loyalty", ground)

    def _index(self, field: str, ground: IndexGround) -> str:
        name = FIELDS[field]
        if ground.as_set is not None:
            band = _word(field, ground.band)
            return self._told(f"{name}由人工設為 {ground.as_set:g} 分（滿分 100），屬「{band}」。")
        if ground.band is Band.UNKNOWN:
            return self._told(f"{name}未知：依據不足（現有 {ground.evidence:g}，至少需要 {ground.min_evidence:g}）。")
        most = decisive(ground)
        why = "" if most is None else f"，主要因為{_word('evidence', most[0])}（{most[1]} 次）"
        return self._told(f"{name} {ground.index} 分（滿分 100），屬「{_word(field, ground.band)}」{why}。")

    def posture(self, reason: Reason) -> str:
        """See `Speech`."""
        ground = reason.posture
        return self._told(
            f"最近 {ground.window_days} 天內有 {ground.later_days} 天有聯繫或購買，"
            f"再往前 {ground.window_days} 天內有 {ground.earlier_days} 天：關係{_word('posture', ground.posture)}。"
        )

    def treated(self, reason: Reason) -> str:
        """See `Speech`."""
        vip = "，屬於 VIP" if reason.vip.vip else ""
        return self._told(f"對待方式：{_word('treatment', reason.treatment.treatment)}{vip}。")

    def set_by_hand(self, override: OverrideGround, currency: str | None) -> str:
        """See `Speech`."""
        until = "" if override.until is None else f"（至 {override.until} 為止）"
        value, derived = (_said(override.field, said, currency) for said in (override.value, override.derived))
        return self._told(f"人工設定{until}：{FIELDS[override.field]}為「{value}」（原應為「{derived}」）。")

    def coming(self, turns: Sequence[Coming], currency: str | None) -> str:
        """See `Speech`."""
        told = "；".join(
            f"自 {turn.day} 起{'、'.join(self._change(change, currency) for change in turn.changes)}" for turn in turns
        )
        return self._told(f"若沒有其他變化，{told}。")

    def _change(self, change: Change, currency: str | None) -> str:
        field, after = change.field, change.after
        match field:
            case "stage":
                return f"成為{_word(field, after)}"
            case "vip":
                return "屬於 VIP" if after else "不再屬於 VIP"
            case "flags":
                flags = "、".join(_word(field, flag) for flag in after) if isinstance(after, tuple) else ""
                return f"標記為「{flags}」" if flags else "沒有標記"
        return f"{FIELDS[field]}為「{_said(field, after, currency)}」"

    def keeping(self, stage: Stage, other: Otherwise, *, at_any_time: bool) -> str:
        """See `Speech`."""
        what = "購買一次" if other.added_minor is not None else "表示一次興趣"
        when = f"在 {other.on} 之前" if at_any_time else f"於 {other.added_on} 當天（現在則太早）"
        return self._told(f"只要{when}再{what}，就仍是{_word('stage', stage)}。")

    def mending(self, stage: Stage, other: Otherwise) -> str:
        """See `Speech`."""
        what = "購買一次" if other.added_minor is not None else "表示一次興趣"
        return self._told(f"現在只要{what}，就會由{_word('stage', stage)}成為{_word('stage', other.stage)}。")

    def raising(self, other: Otherwise, currency: str) -> str:
        """See `Speech`."""
        spent = other.added_minor or 0
        what = f"再購買 {amount(spent, currency)} {currency}" if spent > 1 else "再購買一次，不論金額"
        return self._told(f"現在{what}，價值層級就會升為「{_word('tier', other.tier)}」。")


def _said(field: str, value: Output, currency: str | None) -> str:
    if value is None or value == "":
        return "無"
    return counted(field, str(value), currency) if field in NUMBERS else _word(field, value)


def _word(field: str, code: object) -> str:
    return WORDS[field].get(str(code), str(code))


_OTHER_WORDS = {"「": "“", "」": "”", "機率": "概率", "紀錄": "记录", "品質": "质量", "社群": "社区"}
"""What is said by another word where simplified characters are written."""
_CHARACTERS = str.maketrans(
    "論當則並來係僅價內別創動務匯參問報對層屬幣後從憑應懷戶揚換據斷於時會業標機決沒淨滿潛為無營爭獲現產發確穩競紀級繫續聯與興"
    "薦複視覆觸計記設訴評認誠變讚貨買費質購轉週過遷錄關階離靜頂預頭題額",
    "论当则并来系仅价内别创动务汇参问报对层属币后从凭应怀户扬换据断于时会业标机决没净满潜为无营争获现产发确稳竞纪级系续联与兴"
    "荐复视复触计记设诉评认诚变赞货买费质购转周过迁录关阶离静顶预头题额",
)
"""Every character above that is written otherwise."""


def simplified(said: str) -> str:
    """What was written in traditional characters, as it is written in simplified ones."""
    for word, other in _OTHER_WORDS.items():
        said = said.replace(word, other)
    return said.translate(_CHARACTERS)


TRADITIONAL = Chinese(lambda said: said)
SIMPLIFIED = Chinese(simplified)
