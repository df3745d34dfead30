"""Invoices of suppliers that nobody described, in the layouts they please, and what there is to find in them.

Each is drawn by lot from a seed: who writes, the language, which words stand where, and what makes them hard to read
in real life (dates that can be read in two ways, an order beside the invoice, a deposit, a balance brought forward).
The same seed gives the same invoices. Everybody in them is invented; the amounts add up.
Needs reportlab (the `dev` extra).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import attrs
from make_invoices import ENGLISH_MONTHS, FRENCH_MONTHS, Invoice, Item, Party, Sheet, grouped, long_date, plain, truth
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

__all__ = ["strangers"]

GERMAN_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember"


@attrs.frozen(kw_only=True)
class Tongue:
    """The words of a language, in the order of how common they are, and how it writes numbers and dates."""

    currency: str
    sign: str
    group: str
    mark: str
    tax: Decimal
    title: tuple[str, ...]
    number: tuple[str, ...]
    issued: tuple[str, ...]
    due: tuple[str, ...]
    customer: tuple[str, ...]
    vat_id: tuple[str, ...]
    head: tuple[str, ...]
    net: tuple[str, ...]
    vat: tuple[str, ...]
    total: tuple[str, ...]
    order: tuple[str, ...]
    delivered: tuple[str, ...]
    brought_forward: tuple[str, str]
    #: What some suppliers call the day and the number of the invoice, where "date" and "number" are those of
    #: something else; what they call its total, where "total" is without taxes; and what the customer's VAT number is.
    day_made: str
    own_number: str
    bare_date: str
    bare_number: str
    to_transfer: str
    bare_total: str
    customers_id: str
    months: str
    dates: tuple[str, ...]
    ids: str
    forms: tuple[str, ...]
    names: tuple[str, ...]
    customers: tuple[str, ...]
    towns: tuple[str, ...]
    streets: tuple[str, ...]
    goods: tuple[str, ...]


ENGLISH = Tongue(
    currency="GBP",
    sign="£",
    group=",",
    mark=".",
    tax=Decimal(20),
    title=("INVOICE", "Invoice", "Tax invoice", ""),
    number=("Invoice no.", "Invoice number", "Invoice", "No.", "Document", "Our reference"),
    issued=("Invoice date", "Date", "Issued", "Tax point", "Date of issue"),
    due=("Due date", "Payment due", "Pay by", "Settle before", "Due"),
    customer=("Bill to", "Invoice to", "Customer", "To", ""),
    vat_id=("VAT no.", "VAT registration", "VAT", "Reg."),
    head=("Item", "Description", "Qty", "Price", "Amount"),
    net=("Subtotal", "Net total", "Goods", "Net"),
    vat=("VAT 20%", "VAT @ 20%", "VAT", "Tax"),
    total=("Total", "Total due", "Amount due", "Grand total", "To pay"),
    order=("Order no.", "Your ref.", "Purchase order"),
    delivered=("Delivery date", "Date of supply", "Shipped"),
    brought_forward=("Balance brought forward", "Total with balance"),
    day_made="Raised",
    own_number="Document",
    bare_date="Date",
    bare_number="Number",
    to_transfer="Please transfer",
    bare_total="Total",
    customers_id="VAT no.",
    months=ENGLISH_MONTHS,
    dates=("long", "%d/%m/%Y", "%d/%m/%y", "%Y-%m-%d"),
    ids="GB {:03} {:04} {:02}",
    forms=("Ltd", "Limited", "LLP", "& Sons", ""),
    names=("Bramblegate", "Saltmarsh", "Oakhanger", "Ferrywell", "Hollowdale", "Pennyroyal"),
    customers=("Larkspur Books Ltd", "The Copper Kettle", "Wren & Fairfax LLP", "Moorside Primary School"),
    towns=("Bristol BS1 4QT", "Leeds LS2 7EW", "Norwich NR1 3PA"),
    streets=("14 Tanner Row", "Unit 6, Mill Lane", "3 Chapel Walk"),
    goods=("Oak boards", "Paper, 500 sheets", "Window repair", "Consulting", "Cables, 10 m", "Garden benches"),
)
GERMAN = Tongue(
    currency="EUR",
    sign="€",
    group=".",
    mark=",",
    tax=Decimal(19),
    title=("Rechnung", "RECHNUNG", "Faktura", ""),
    number=("Rechnungsnummer", "Rechnung Nr.", "Rechnungs-Nr.", "Nr.", "Beleg", "Unser Zeichen"),
    issued=("Rechnungsdatum", "Datum", "Ausgestellt am", "Den"),
    due=("Fällig am", "Zahlbar bis", "Fälligkeit", "Ziel"),
    customer=("Rechnung an", "Kunde", "Rechnungsempfänger", "An", ""),
    vat_id=("USt-IdNr.", "USt-ID", "UID", "Steuer"),
    head=("Pos.", "Bezeichnung", "Menge", "Preis", "Betrag"),
    net=("Nettobetrag", "Zwischensumme", "Netto", "Waren"),
    vat=("MwSt. 19 %", "zzgl. 19 % USt", "Umsatzsteuer", "Steuer"),
    total=("Gesamtbetrag", "Rechnungsbetrag", "Summe", "Zu zahlen", "Endbetrag"),
    order=("Bestellnummer", "Auftrag", "Ihre Bestellung"),
    delivered=("Lieferdatum", "Leistungsdatum", "Versand"),
    brought_forward=("Saldovortrag", "Offen mit Vortrag"),
    day_made="Geschrieben",
    own_number="Vorgang",
    bare_date="Datum",
    bare_number="Nr.",
    to_transfer="Bitte überweisen",
    bare_total="Summe",
    customers_id="USt-IdNr.",
    months=GERMAN_MONTHS,
    dates=("%d.%m.%Y", "%d.%m.%y", "long", "%Y-%m-%d"),
    ids="DE{:03}{:04}{:02}",
    forms=("GmbH", "KG", "e.K.", "& Söhne", ""),
    names=("Eichenhof", "Tannwald", "Lindenau", "Moorbach", "Felsberg", "Kranichsee"),
    customers=("Buchhandlung Amsel GmbH", "Grundschule am Anger", "Kanzlei Storch & Reiher", "Café Morgenrot"),
    towns=("04109 Leipzig", "28195 Bremen", "90402 Nürnberg"),
    streets=("Am Markt 7", "Hafenstraße 12", "Lange Gasse 3"),
    goods=("Eichenbretter", "Papier, 500 Blatt", "Reparatur Fenster", "Beratung", "Kabel, 10 m", "Gartenbänke"),
)
FRENCH = Tongue(
    currency="EUR",
    sign="€",
    group=" ",
    mark=",",
    tax=Decimal(20),
    title=("FACTURE", "Facture", "Note", ""),
    number=("Facture n°", "Numéro de facture", "N°", "Pièce", "Notre référence"),
    issued=("Date de facture", "Date", "Émise le", "Le"),
    due=("Échéance", "Date d'échéance", "À payer avant le", "Règlement"),
    customer=("Facturé à", "Client", "Adresse de facturation", "À", ""),
    vat_id=("N° TVA", "TVA intracommunautaire", "TVA", "Id."),
    head=("Réf.", "Désignation", "Qté", "Prix", "Montant"),
    net=("Total HT", "Sous-total", "Montant HT", "Marchandises"),
    vat=("TVA 20 %", "TVA", "Taxe"),
    total=("Total TTC", "Net à payer", "Total", "Montant dû"),
    order=("Commande n°", "Votre référence", "Bon de commande"),
    delivered=("Date de livraison", "Livré le", "Expédition"),
    brought_forward=("Solde antérieur", "Total avec solde"),
    day_made="Fait le",
    own_number="Pièce",
    bare_date="Date",
    bare_number="N°",
    to_transfer="À virer",
    bare_total="Total",
    customers_id="N° TVA",
    months=FRENCH_MONTHS,
    dates=("%d/%m/%Y", "long", "%d/%m/%y", "%d.%m.%Y"),
    ids="FR {2:02} {0:03} {1:03} 104",
    forms=("SARL", "SAS", "et Fils", ""),
    names=("Boisclair", "Valmont", "Rivefort", "Champdoré", "Pierrelune", "Ventoux"),
    customers=("Librairie du Pont SARL", "École des Tilleuls", "Cabinet Merle", "Café des Halles"),
    towns=("69002 Lyon", "35000 Rennes", "31000 Toulouse"),
    streets=("8 rue des Lices", "21 quai Nord", "5 place du Marché"),
    goods=("Planches de chêne", "Papier, 500 feuilles", "Réparation", "Conseil", "Câbles, 10 m", "Bancs de jardin"),
)
TONGUES = (ENGLISH, GERMAN, FRENCH)

#: How many of the suppliers have each of the habits that mislead a reader.
ODD = 0.1


def strangers(count: int, *, seed: int) -> Iterator[tuple[Invoice, bytes, dict[str, Any]]]:
    """*count* invoices: what each says, its PDF, and what there is to find in it, as in `truth.json`."""
    pdfmetrics.registerFont(TTFont("Vera", "Vera.ttf"))
    dice = random.Random(seed)
    for number in range(count):
        tongue = dice.choice(TONGUES)
        invoice = _invoice(number, tongue, dice)
        yield invoice, _drawn(invoice, tongue, dice), truth(invoice)


def _one_of(words: tuple[str, ...], dice: random.Random) -> str:
    """One of *words*, the first ones more often."""
    return dice.choices(words, weights=[2.0**-at for at in range(len(words))])[0]


def _vat_id(tongue: Tongue, dice: random.Random) -> str:
    return tongue.ids.format(dice.randrange(100, 1000), dice.randrange(100, 1000), dice.randrange(100))


def _invoice(number: int, tongue: Tongue, dice: random.Random) -> Invoice:
    form = _one_of(tongue.forms, dice)
    issued = date(2025, 1, 1) + timedelta(days=dice.randrange(360))
    return Invoice(
        file=f"stranger-{number:03}.pdf",
        layout="stranger",
        supplier=Party(
            name=f"{dice.choice(tongue.names)} {form}".strip(),
            address=(dice.choice(tongue.streets), dice.choice(tongue.towns)),
            tax_id=_vat_id(tongue, dice),
        ),
        customer=Party(
            name=dice.choice(tongue.customers), address=(dice.choice(tongue.streets), dice.choice(tongue.towns))
        ),
        number=dice.choice(("{}", "2025-{}", "R{}", "A/{}")).format(dice.randrange(1000, 100_000)),
        issued=issued,
        due=issued + timedelta(days=dice.choice((10, 14, 30))),
        currency=tongue.currency,
        items=tuple(
            Item(
                number=str(at),
                description=dice.choice(tongue.goods),
                quantity=str(dice.randrange(1, 20)),
                price=f"{dice.randrange(500, 40_000) / 100:.2f}",
                tax=tongue.tax,
            )
            for at in range(1, dice.randrange(2, 6))
        ),
    )


@attrs.frozen(kw_only=True)
class Habit:
    """How a supplier writes."""

    tongue: Tongue
    dates: str
    signs: bool

    def day(self, when: date) -> str:
        """A date."""
        return long_date(when, self.tongue.months) if self.dates == "long" else when.strftime(self.dates)

    def money(self, amount: Decimal) -> str:
        """An amount."""
        number = grouped(amount, self.tongue.group, self.tongue.mark)
        return f"{number} {self.tongue.sign}" if self.signs else number


def _facts(invoice: Invoice, habit: Habit, dice: random.Random) -> tuple[list[tuple[str, str]], bool]:
    """What stands in the head, label and value; and whether the supplier's own VAT number is not there."""
    tongue = habit.tongue
    facts = [(_one_of(tongue.due, dice), habit.day(invoice.due))]
    if dice.random() < ODD:  # "Date" is the day it was printed on
        printed = invoice.issued + timedelta(days=dice.randrange(1, 9))
        facts += [(tongue.day_made, habit.day(invoice.issued)), (tongue.bare_date, habit.day(printed))]
    else:
        facts.append((_one_of(tongue.issued, dice), habit.day(invoice.issued)))
    if dice.random() < ODD:  # "Number" is the customer's
        facts += [(tongue.own_number, invoice.number), (tongue.bare_number, str(dice.randrange(100, 9999)))]
    else:
        facts.append((_one_of(tongue.number, dice), invoice.number))
    theirs = dice.random() < ODD  # the VAT number is the customer's
    if theirs:
        facts.append((tongue.customers_id, _vat_id(tongue, dice)))
    else:
        facts.append((_one_of(tongue.vat_id, dice), invoice.supplier.tax_id))
    if dice.random() < 0.4:
        facts.append((_one_of(tongue.order, dice), str(dice.randrange(10_000, 99_999))))
    if dice.random() < 0.4:
        delivered = invoice.issued - timedelta(days=dice.randrange(9))
        facts.append((_one_of(tongue.delivered, dice), habit.day(delivered)))
    if dice.random() < 0.5:
        dice.shuffle(facts)
    return facts, theirs


def _sums(invoice: Invoice, tongue: Tongue, dice: random.Random) -> list[tuple[str, Decimal]]:
    """What stands below the items, label and amount."""
    sums = [(_one_of(tongue.net, dice), invoice.net), (_one_of(tongue.vat, dice), invoice.tax)]
    sums.append((_one_of(tongue.total, dice), invoice.total))
    if dice.random() < ODD:  # "Total" is without taxes
        sums = [(tongue.bare_total, invoice.net), (tongue.to_transfer, invoice.total)]
    if dice.random() < ODD:
        balance = Decimal(dice.randrange(1000, 90_000)) / 100
        sums += zip(tongue.brought_forward, (balance, invoice.total + balance), strict=True)
    return sums


def _drawn(invoice: Invoice, tongue: Tongue, dice: random.Random) -> bytes:
    sheet = Sheet(invoice, A4, "Vera")
    habit = Habit(tongue=tongue, dates=_one_of(tongue.dates, dice), signs=dice.random() < 0.6)
    supplier, customer = invoice.supplier, invoice.customer
    ours, title = dice.choice(((50, 330), (330, 50)))
    sheet.text(ours, 60, supplier.name, 15, bold=True)
    sheet.lines(ours, 78, supplier.address, 9)
    sheet.text(title, 60, _one_of(tongue.title, dice), 18)
    sheet.text(50, 150, _one_of(tongue.customer, dice), 8)
    sheet.lines(50, 164, (customer.name, *customer.address), 10)

    facts, theirs = _facts(invoice, habit, dice)
    for at, (label, fact) in enumerate(facts):
        sheet.text(330, 150 + 15 * at, label)
        sheet.text(545, 150 + 15 * at, fact, right=True)
    if theirs:
        sheet.text(50, 800, " · ".join((supplier.name, *supplier.address, supplier.tax_id)), 7)

    y = 290.0
    columns = ((50, "left"), (100, "left"), (360, "right"), (450, "right"), (545, "right"))
    rows = [tongue.head]
    rows += [
        (
            item.number,
            item.description,
            plain(item.quantity, tongue.mark),
            habit.money(item.price),
            habit.money(item.net),
        )
        for item in invoice.items
    ]
    for row in rows:
        sheet.row(y, [(x, side, cell) for (x, side), cell in zip(columns, row, strict=True)])
        y += 20
    y += 20
    for label, amount in _sums(invoice, tongue, dice):
        sheet.text(360, y, label)
        sheet.text(545, y, habit.money(amount), right=True)
        y += 16
    return sheet.pdf()
