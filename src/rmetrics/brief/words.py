"""All text of the brief and of alerts, and the format of figures, in each language.

A template names a value and its format: ``{cost:money}``, ``{day:day}``, ``{repairs:#repair}`` (a number with its noun
in the right form), ``{forecast:?ahead.money}`` (another template, left out if the value is None). Amounts are rounded
to the cent, half away from zero; JSON output keeps the exact value.
"""

import datetime as dt
import string
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from zoneinfo import ZoneInfo

SPACE = "\u00a0"  # separates thousands in Russian numbers and precedes the percent sign: no line may break there
MINUS = "\u2212"
Forms = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """One language.

    Attributes:
        language: ISO 639-1 code.
        thousands: separator of thousands.
        decimal: decimal separator.
        months: names, January first.
        weekdays: short names, Monday first.
        nouns: forms of each noun, indexed by ``plural_form``.
        templates: text by code.
    """

    language: str
    thousands: str
    decimal: str
    months: Forms
    weekdays: Forms
    nouns: Mapping[str, Forms]
    templates: Mapping[str, str]


ENGLISH = Words(
    language="en",
    thousands=",",
    decimal=".",
    months=("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
            "November", "December"),
    weekdays=("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"),
    nouns={
        "job": ("job", "jobs"), "lead": ("lead", "leads"), "unit": ("visit", "visits"),
        "repair": ("repair", "repairs"), "row": ("row", "rows"), "day": ("day", "days"),
        "month": ("month", "months"), "call": ("call", "calls"), "hour": ("hour", "hours"),
    },
    templates={
        "subject": "Morning brief, {day:day}",
        "subject.stale": "Morning brief, {day:day}: not up to date",
        "alerts.subject": "rmetrics: {title}",
        "alerts.subject.several": "rmetrics: {title} and {more:number} more",
        "heading.stale": "Not up to date",
        "heading.yesterday": "Yesterday, {yesterday:day}",
        "heading.month": "{month:month} so far",
        "heading.month.over": "{month:month}, the whole month",
        "heading.restated": "Restated since the last brief",
        "heading.person": "Needs attention",
        "heading.alerts": "Alerts",
        "footer": "Business days of {timezone}, money in {currency}.",
        "each": ", {cpl:money} per lead",
        "ahead.number": "; the month is estimated to end at {forecast:number}{forecast_low:?range.number}",
        "ahead.money": "; the month is estimated to end at {forecast:money}{forecast_low:?range.money}",
        "ahead.repairs": "; the month is estimated to end at {repairs_forecast:number}",
        "ahead.revenue40": "; revenue40 at {revenue40_forecast:money}",
        "range.number": " (4 of 5 months end between {forecast_low:number} and {forecast_high:number})",
        "range.money": " (4 of 5 months end between {forecast_low:money} and {forecast_high:money})",
        "stale.nothing": "Nothing is published yet: put exports into the inbox and sync.",
        "stale.unreachable": "The database cannot be reached: there are no current figures.",
        "stale.never": "{feed}: there is no export yet.",
        "stale.partial": "{feed}: not all of its pulls are complete and synced yet.",
        "stale.feed": "{feed}: the newest export is of {at:moment}, before the end of yesterday.",
        "stale.ends": "There are no rows of {yesterday:day}: the data end on {end:day}.",
        "stale.hidden": "Therefore {yesterday:day} is not shown. Put new exports into the inbox and sync.",
        "yesterday.all": "{leads:#lead}, {units:#unit}, {repairs:#repair}; paid {revenue_gross:money}, "
                         "revenue40 {revenue40:money}; cost {cost:money}{cpl:each}",
        "yesterday.source": "{source}: {leads:#lead}, {units:#unit}, {repairs:#repair}; revenue40 {revenue40:money}; "
                            "cost {cost:money}{cpl:each}",
        "yesterday.cost": "Cost may still change: the pull {name} is not complete, see below",
        "month.all": "Up to {through:day}: {leads:#lead}, {units:#unit}, {repairs:#repair}; "
                     "revenue40 {revenue40:money}; cost {cost:money}{cpl:each}",
        "month.repairs.all": "{value:#repair} of {target:number}: {of_pace:percent} of the pace of {pace:number}"
                             "{forecast:?ahead.number}",
        "month.revenue40.all": "revenue40 {value:money} of {target:money}: {of_pace:percent} of the pace of "
                               "{pace:money}{forecast:?ahead.money}",
        "month.repairs.source": "{source}: {value:#repair} of {target:number}, {of_pace:percent} of pace"
                                "{forecast:?ahead.number}",
        "month.revenue40.source": "{source}: revenue40 {value:money} of {target:money}, {of_pace:percent} of pace"
        "{forecast:?ahead.money}",
        "month.both.source": "{source}: {repairs_value:#repair} of {repairs_target:number}, "
        "{repairs_of_pace:percent} of pace; revenue40 {revenue40_value:money} of {revenue40_target:money}, "
        "{revenue40_of_pace:percent} of pace{repairs_forecast:?ahead.repairs}{revenue40_forecast:?ahead.revenue40}",
        "month.both.source.over": "{source}: {repairs_value:#repair} of {repairs_target:number}, "
        "{repairs_of_pace:percent}; revenue40 {revenue40_value:money} of {revenue40_target:money}, "
        "{revenue40_of_pace:percent}",
        "month.repairs.all.over": "{value:#repair} of {target:number}: {of_pace:percent} of the target",
        "month.revenue40.all.over": "revenue40 {value:money} of {target:money}: {of_pace:percent} of the target",
        "month.repairs.source.over": "{source}: {value:#repair} of {target:number}, {of_pace:percent}",
        "month.revenue40.source.over": "{source}: revenue40 {value:money} of {target:money}, {of_pace:percent}",
        "restated.days.amount": "{month:month}, {metric:measure}: {change:+money} on {days:#day} in the past "
                                "({why:why})",
        "restated.days.count": "{month:month}, {metric:measure}: {change:+number} on {days:#day} in the past "
                               "({why:why})",
        "restated.month.amount": "{month:month}, {metric:measure}: {change:+money} ({why:why})",
        "restated.month.count": "{month:month}, {metric:measure}: {change:+number} ({why:why})",
        "restated.moved": "{month:month}, {metric:measure}: total unchanged, moved between sources, segments or days "
        "({why:why})",
        "restated.more": "and {more:number} more",
        "restated.span.amount": "{metric:measure}: {change:+money} over {months:#month}, {first:month} to "
        "{last:month} ({why:why})",
        "restated.span.count": "{metric:measure}: {change:+number} over {months:#month}, {first:month} to "
        "{last:month} ({why:why})",
        "restated.span.moved": "{metric:measure}: total unchanged over {months:#month}, {first:month} to {last:month}, "
        "moved between months, sources, segments or days ({why:why})",
        "measure.jobs": "jobs",
        "measure.leads": "leads",
        "measure.units": "visits",
        "measure.repairs": "repairs",
        "measure.revenue_gross": "paid",
        "measure.revenue40": "revenue40",
        "measure.cost": "cost",
        "why.exports": "new exports",
        "why.withdrawn": "an export was withdrawn or removed",
        "why.restored": "an export was restored",
        "why.rules": "the rules were edited",
        "why.version": "another version of rmetrics",
        "why.unknown": "see the command below",
        "person.rejected": "Rejected, so not counted: {rows:#row}",
        "person.missed": "{calls:#call} missed since {since:day}: no call back and no booking",
        "person.missed-existing": "{calls:#call} of customers about existing jobs missed since {since:day}, unreturned",
        "person.dispute": "{source}: {leads:#lead} to dispute ({amount:money}); {hours:#hour} left for the first, "
                          "until {until:moment}",
        "person.dispute-unknown": "Leads to dispute could not be read from the lake",
        "person.undeclared": "{rows:#job} of sources that no rule declares: their leads and cost are 0",
        "person.stale": "{feed}: the newest row is of {last:day}, {days:#day} ago",
        "person.pull": "The pull {name} is not complete; it was last complete on {at:moment}",
        "person.pull-late": "The pull {name} is overdue: it was last complete on {at:moment}",
        "person.pull-never": "The pull {name} has never been complete",
        "person.failed": "A run failed on {at:moment}; figures are those of the last successful one",
        "person.error": "Error in the data: {code}, {rows:#row}",
        "person.failed-brief": "{channel}: the brief of {key} could not be sent",
        "person.failed-alerts": "{channel}: the alert of {at:moment} could not be sent; the next evaluation tries "
                                "again",
        "person.doubtful-brief": "{channel}: the brief of {key} may not have arrived: the program was stopped "
        "while sending. "
        "It is not sent twice unless you request it",
        "person.doubtful-alerts": "{channel}: the alert of {at:moment} may not have arrived: the program was stopped "
                                  "while sending. It is not sent twice",
        "alert": "{title} ({cause})",
        "alert.of": "{title}: {of} ({cause})",
        "alert.more": "and {more:number} more",
        "alerts.footer": "Sent once; sent again only if the condition ends and returns.",
    },
)  # fmt: skip

RUSSIAN = Words(
    language="ru",
    thousands=SPACE,
    decimal=",",
    months=("январь", "февраль", "март", "апрель", "май", "июнь", "июль", "август", "сентябрь", "октябрь", "ноябрь",
            "декабрь"),
    weekdays=("пн", "вт", "ср", "чт", "пт", "сб", "вс"),
    nouns={
        "job": ("заказ", "заказа", "заказов"), "lead": ("лид", "лида", "лидов"),
        "unit": ("выезд", "выезда", "выездов"), "repair": ("ремонт", "ремонта", "ремонтов"),
        "row": ("строка", "строки", "строк"), "day": ("день", "дня", "дней"),
        "month": ("месяц", "месяца", "месяцев"),
        "call": ("звонок", "звонка", "звонков"), "hour": ("час", "часа", "часов"),
    },
    templates={
        "subject": "Утренняя сводка, {day:day}",
        "subject.stale": "Утренняя сводка, {day:day}: данные устарели",
        "alerts.subject": "rmetrics: {title}",
        "alerts.subject.several": "rmetrics: {title} и ещё {more:number}",
        "heading.stale": "Данные устарели",
        "heading.yesterday": "Вчера, {yesterday:day}",
        "heading.month": "{month:Month}: с начала месяца",
        "heading.month.over": "{month:Month}: весь месяц",
        "heading.restated": "Пересчитано с прошлой сводки",
        "heading.person": "Требует внимания",
        "heading.alerts": "Предупреждения",
        "footer": "Даты по времени {timezone}, суммы в {currency}.",
        "each": ", {cpl:money} за лид",
        "ahead.number": "; оценка на конец месяца — {forecast:number}{forecast_low:?range.number}",
        "ahead.money": "; оценка на конец месяца — {forecast:money}{forecast_low:?range.money}",
        "ahead.repairs": "; оценка на конец месяца — {repairs_forecast:number}",
        "ahead.revenue40": "; revenue40 — {revenue40_forecast:money}",
        "range.number": " (в 4 случаях из 5 от {forecast_low:number} до {forecast_high:number})",
        "range.money": " (в 4 случаях из 5 от {forecast_low:money} до {forecast_high:money})",
        "stale.nothing": "Ещё ничего не опубликовано: положите выгрузки во входную папку и запустите rmetrics sync.",
        "stale.unreachable": "База данных недоступна, поэтому сегодня цифр нет.",
        "stale.never": "{feed}: выгрузок ещё нет.",
        "stale.partial": "{feed}: ещё не все его источники выгружены полностью и учтены.",
        "stale.feed": "{feed}: последняя выгрузка сделана {at:moment}, когда вчерашний день ещё не кончился.",
        "stale.ends": "За {yesterday:day} нет ни одной строки: последние данные за {end:day}.",
        "stale.hidden": "Поэтому цифр за {yesterday:day} здесь нет. Положите свежие выгрузки и запустите "
                        "rmetrics sync.",
        "yesterday.all": "{leads:#lead}, {units:#unit}, {repairs:#repair}; оплачено {revenue_gross:money}, "
                         "revenue40 {revenue40:money}; расход {cost:money}{cpl:each}",
        "yesterday.source": "{source}: {leads:#lead}, {units:#unit}, {repairs:#repair}; revenue40 {revenue40:money}; "
                            "расход {cost:money}{cpl:each}",
        "yesterday.cost": "Расход ещё может измениться: автоматическая выгрузка {name} неполная, см. ниже",
        "month.all": "По {through:day}: {leads:#lead}, {units:#unit}, {repairs:#repair}; revenue40 {revenue40:money}; "
                     "расход {cost:money}{cpl:each}",
        "month.repairs.all": "{value:#repair} из {target:number}: {of_pace:percent} от темпа {pace:number}"
                             "{forecast:?ahead.number}",
        "month.revenue40.all": "revenue40 {value:money} из {target:money}: {of_pace:percent} от темпа {pace:money}"
                               "{forecast:?ahead.money}",
        "month.repairs.source": "{source}: {value:#repair} из {target:number}, {of_pace:percent} от темпа"
                                "{forecast:?ahead.number}",
        "month.revenue40.source": "{source}: revenue40 {value:money} из {target:money}, {of_pace:percent} от темпа"
        "{forecast:?ahead.money}",
        "month.both.source": "{source}: {repairs_value:#repair} из {repairs_target:number}, "
        "{repairs_of_pace:percent} от темпа; revenue40 {revenue40_value:money} из {revenue40_target:money}, "
        "{revenue40_of_pace:percent} от темпа{repairs_forecast:?ahead.repairs}{revenue40_forecast:?ahead.revenue40}",
        "month.both.source.over": "{source}: {repairs_value:#repair} из {repairs_target:number}, "
        "{repairs_of_pace:percent}; revenue40 {revenue40_value:money} из {revenue40_target:money}, "
        "{revenue40_of_pace:percent}",
        "month.repairs.all.over": "{value:#repair} из {target:number}: {of_pace:percent} от цели",
        "month.revenue40.all.over": "revenue40 {value:money} из {target:money}: {of_pace:percent} от цели",
        "month.repairs.source.over": "{source}: {value:#repair} из {target:number}, {of_pace:percent}",
        "month.revenue40.source.over": "{source}: revenue40 {value:money} из {target:money}, {of_pace:percent}",
        "restated.days.amount": "{month:month}, {metric:measure}: {change:+money} за {days:#day} из уже "
        "прошедших ({why:why})",
        "restated.days.count": "{month:month}, {metric:measure}: {change:+number} за {days:#day} из уже "
        "прошедших ({why:why})",
        "restated.month.amount": "{month:month}, {metric:measure}: {change:+money} ({why:why})",
        "restated.month.count": "{month:month}, {metric:measure}: {change:+number} ({why:why})",
        "restated.moved": "{month:month}, {metric:measure}: в сумме столько же, но иначе по источникам, "
        "сегментам или дням "
        "({why:why})",
        "restated.more": "и ещё {more:number}",
        "restated.span.amount": "{metric:measure}: {change:+money} за {months:#month}, {first:month} – "
        "{last:month} ({why:why})",
        "restated.span.count": "{metric:measure}: {change:+number} за {months:#month}, {first:month} – "
        "{last:month} ({why:why})",
        "restated.span.moved": "{metric:measure}: за {months:#month}, {first:month} – {last:month}, в сумме столько "
        "же, но иначе по месяцам, источникам, сегментам или дням ({why:why})",
        "measure.jobs": "заказы",
        "measure.leads": "лиды",
        "measure.units": "выезды",
        "measure.repairs": "ремонты",
        "measure.revenue_gross": "оплачено",
        "measure.revenue40": "revenue40",
        "measure.cost": "расход",
        "why.exports": "новые выгрузки",
        "why.withdrawn": "выгрузка отозвана или удалена",
        "why.restored": "выгрузка возвращена",
        "why.rules": "изменены правила",
        "why.version": "другая версия rmetrics",
        "why.unknown": "см. команду ниже",
        "person.rejected": "Не прочитано и нигде не учтено: {rows:#row}",
        "person.missed": "{calls:#call} с {since:day} без ответа: никто не перезвонил, заказа нет",
        "person.missed-existing": "{calls:#call} клиентов по их заказам с {since:day} без ответа: никто не перезвонил",
        "person.dispute": "{source}: можно оспорить {leads:#lead} ({amount:money}); на первый осталось {hours:#hour}, "
                          "до {until:moment}",
        "person.dispute-unknown": "Не удалось проверить, какие лиды можно оспорить",
        "person.undeclared": "{rows:#job} из источников, которых нет в правилах: их лиды и расход равны 0",
        "person.stale": "{feed}: последняя строка за {last:day}, {days:#day} назад",
        "person.pull": "Автоматическая выгрузка {name} неполная; последняя полная — {at:moment}",
        "person.pull-late": "Автоматической выгрузки {name} давно не было: последняя полная — {at:moment}",
        "person.pull-never": "Автоматическая выгрузка {name} ещё ни разу не прошла полностью",
        "person.failed": "Запуск {at:moment} не удался; показаны цифры последнего удачного",
        "person.error": "Ошибка в данных: {code} ({rows:#row})",
        "person.failed-brief": "{channel}: сводка за {key} не отправлена",
        "person.failed-alerts": "{channel}: предупреждение от {at:moment} не отправлено; следующая проверка "
        "попробует ещё раз",
        "person.doubtful-brief": "{channel}: сводка за {key} могла не дойти: программу остановили во время отправки. "
        "Без вашей просьбы второй раз она не посылается",
        "person.doubtful-alerts": "{channel}: предупреждение от {at:moment} могло не дойти: программу остановили "
                                  "во время отправки. Второй раз оно не посылается",
        "alert": "{title} ({cause})",
        "alert.of": "{title}: {of} ({cause})",
        "alert.more": "и ещё {more:number}",
        "alerts.footer": "О каждом сообщается один раз; ещё раз — если оно исчезнет и появится снова.",
    },
)  # fmt: skip

LANGUAGES: Mapping[str, Words] = {"en": ENGLISH, "ru": RUSSIAN}
NOTHING = "—"


def plural_form(language: str, number: int) -> int:
    """Returns the index of the noun form that follows a number, by the CLDR rules for whole numbers.

    >>> [plural_form("ru", n) for n in (1, 2, 5, 11, 21, 112)]
    [0, 1, 2, 2, 0, 2]
    >>> [plural_form("en", n) for n in (0, 1, 2)]
    [1, 0, 1]
    """
    if language == "en":
        return 0 if number == 1 else 1
    ones, hundred = number % 10, number % 100
    if ones == 1 and hundred != 11:
        return 0
    return 1 if ones in {2, 3, 4} and hundred not in {12, 13, 14} else 2


class _Writer(string.Formatter):
    """Fills templates in one language; writes times in ``zone``."""

    def __init__(self, words: Words, zone: str, values: Mapping[str, Any]) -> None:
        self.words, self.zone, self.values = words, zone, values

    def format_field(self, value: Any, format_spec: str) -> str:
        """Formats a value as the template asks; a dash for None."""
        if format_spec == "each":
            return "" if value is None else self.vformat(self.words.templates["each"], (), {"cpl": value})
        if format_spec.startswith("?"):  # an optional part, left out where the value is unknown
            return "" if value is None else self.vformat(self.words.templates[format_spec[1:]], (), self.values)
        if value is None:
            return NOTHING
        if format_spec in {"why", "measure"}:  # a key of a fixed vocabulary
            return self.words.templates.get(f"{format_spec}.{value}", str(value))
        if isinstance(value, dt.date):
            return self._time(value, format_spec)
        return self._figure(value, format_spec) if isinstance(value, int | Decimal) else str(value)

    def _figure(self, value: int | Decimal, spec: str) -> str:
        exact, words = Decimal(value), self.words
        plus = "+" if spec.startswith("+") and exact > 0 else ""
        match spec.removeprefix("+"):
            case "money":
                return plus + self._number(exact, 2)
            case "number":
                return plus + self._number(exact, 0 if exact == exact.to_integral_value() else 1)
            case "percent":
                return f"{self._number(exact * 100, 0)}{SPACE if words.language == 'ru' else ''}%"
            case noun if noun.startswith("#"):
                forms = words.nouns[noun[1:]]
                return f"{self._number(exact, 0)} {forms[plural_form(words.language, abs(int(value)))]}"
        return str(value)

    def _time(self, value: dt.date, spec: str) -> str:
        """Formats a day, a month or a point in time; the latter in the writer's time zone."""
        if isinstance(value, dt.datetime):
            local = value.astimezone(ZoneInfo(self.zone))
            return f"{self._day(local.date())} {local:%H:%M}"
        if spec.lower() == "month":
            name = self.words.months[value.month - 1]
            return f"{name.capitalize() if spec == 'Month' else name} {value.year}"
        return self._day(value)

    def _number(self, value: Decimal, places: int) -> str:
        rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
        text = f"{abs(rounded):,f}".replace(",", "_").replace(".", self.words.decimal)
        sign = MINUS if rounded < 0 else ""
        return sign + text.replace("_", self.words.thousands)

    def _day(self, day: dt.date) -> str:
        words = self.words
        weekday = words.weekdays[day.weekday()]
        if words.language == "ru":
            return f"{weekday} {day:%d.%m.%Y}"
        return f"{weekday} {day.day} {words.months[day.month - 1][:3]} {day.year}"


def phrase(language: str, code: str, values: Mapping[str, Any], zone: str) -> str:
    """Fills the template of a code.

    Args:
        language: a key of ``LANGUAGES``.
        code: a key of its templates.
        values: at least the values that the template names.
        zone: time zone for points in time.
    """
    words = LANGUAGES[language]
    return _Writer(words, zone, values).vformat(words.templates[code], (), values)
