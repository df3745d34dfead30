"""The words that stand on invoices, in English, German, French, Spanish and Italian.

All patterns are for folded text: lower case, no accents, straight apostrophes. A label that is no field of
ours stands here as well, under `OTHER`, so that its value is not taken for a neighbour's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

import attrs

__all__ = [
    "CREDIT",
    "CURRENCIES",
    "FILLERS",
    "LEGAL_FORM",
    "SELF_BILLED",
    "VAT_ID",
    "Label",
    "Role",
    "labels_at",
    "title_of",
]


class Role(Enum):
    """What the value beside a label is."""

    NUMBER = auto()
    #: The number of a credit note, which may name the number of an invoice as well.
    CREDIT_NUMBER = auto()
    #: What goes before the number of a Mexican invoice.
    SERIES = auto()
    ISSUED = auto()
    #: "Date" and nothing more.
    DATE = auto()
    DUE = auto()
    NET = auto()
    TAX = auto()
    TOTAL = auto()
    #: Net or total: the word says only that it is a sum.
    SUM = auto()
    #: What is left to pay; the total where nothing was paid before.
    PAYABLE = auto()
    PAID = auto()
    WITHHELD = auto()
    #: Freight, discounts, rounding: between net and total.
    EXTRA = auto()
    CURRENCY = auto()
    VAT_ID = auto()
    CUSTOMER_VAT_ID = auto()
    SUPPLIER_VAT_ID = auto()
    CUSTOMER = auto()
    SUPPLIER = auto()
    #: Where the goods go.
    PLACE = auto()
    #: "Number" and nothing more.
    BARE_NUMBER = auto()
    #: Known, and none of ours.
    OTHER = auto()


@attrs.frozen
class Label:
    """A label that was found at the start of some text, and where it ends there."""

    role: Role
    language: str
    end: int


_NO = r"(?:no|nr|num|number|nummer|#|№|n[°º])"
_VAT_DE = r"(?:mwst|m\.w\.st|ust|u\.st|umsatzsteuer|mehrwertsteuer)\.?"
_VAT_ES = r"(?:iva|i\.v\.a\.?|igic|ipsi)"
#: "zzgl. 19 % MwSt.", "20% VAT".
_PLUS = r"(?:\+ ?|plus |zzgl\.? |zuzuglich |zuzugl\.? |add |mas )?(?:\d{1,2}(?:[.,]\d{1,4})? ?% ?)?"

_PATTERNS: Sequence[tuple[Role, str, str]] = (
    (Role.NUMBER, "en", rf"(?:(?:tax|vat|sales|commercial|our) )?invoice ?(?:{_NO}|id)"),
    (Role.NUMBER, "en", rf"inv\.? ?{_NO}|bill {_NO}"),
    (Role.CREDIT_NUMBER, "en", rf"credit (?:note|memo) ?{_NO}"),
    (Role.NUMBER, "de", rf"rechnungs?[ -]*{_NO}|re[.-] ?{_NO}|beleg-?{_NO}|rg\.?-{_NO}"),
    (Role.CREDIT_NUMBER, "de", rf"(?:gutschrift|rechnungskorrektur)s?[ -]*{_NO}"),
    (Role.NUMBER, "fr", r"facture ?(?:n[°ºo]|no|num|numero|#)|(?:n[°ºo]|no|num|numero) (?:de )?(?:la )?facture"),
    (
        Role.CREDIT_NUMBER,
        "fr",
        (
            r"note de credit ?(?:n[°ºo]|no|numero)|(?:facture d')?avoir ?(?:n[°ºo]|no|numero)|"
            r"(?:n[°ºo]|numero) (?:de l'|d')?avoir"
        ),
    ),
    (
        Role.NUMBER,
        "es",
        r"(?:factura|fra) ?(?:n[.°ºo]*|nro|num|numero)|(?:n[.°ºo]*|nro|num|numero) ?(?:de )?(?:la )?factura",
    ),
    (Role.NUMBER, "es", r"(?:serie (?:y|/|-) ?)?folio"),
    (Role.SERIES, "es", r"serie"),
    (Role.CREDIT_NUMBER, "es", r"(?:nota de credito|factura rectificativa|abono) ?(?:n[.°ºo]*|num|numero)"),
    (Role.NUMBER, "it", r"fattura ?(?:n[.°ºr]*|nr|num|numero)|(?:n[.°ºr]*|nr|num|numero) ?(?:della )?fattura"),
    (Role.NUMBER, "it", r"(?:documento n[.°r]*|numero documento|n[.°r]* documento)"),
    (Role.CREDIT_NUMBER, "it", r"nota di credito ?(?:n[.°ºr]*|nr|num|numero)"),
    (
        Role.ISSUED,
        "en",
        (
            r"(?:tax |credit note )?invoice date|date of (?:the )?(?:invoice|issue)|issue date|date issued|"
            r"issued(?: on)?|invoiced on|credit note date|billing date"
        ),
    ),
    (
        Role.ISSUED,
        "de",
        (
            r"rechnungs-?datum|ausstellungsdatum|belegdatum|datum der rechnung|gutschriftsdatum|ausgestellt am|"
            r"rechnung vom"
        ),
    ),
    (
        Role.ISSUED,
        "fr",
        (
            r"date (?:de )?(?:la )?(?:facture|facturation)|date d' ?emission|emise? le|date de l'avoir|facture du|"
            r"etablie? le"
        ),
    ),
    (Role.ISSUED, "es", r"fecha (?:de )?(?:la )?(?:factura|facturacion|emision|expedicion)|fecha/hora de emision"),
    (Role.ISSUED, "it", r"data (?:di |della )?(?:fattura|emissione|fatturazione)|data documento|emessa il"),
    (Role.DATE, "en", r"date"),
    (Role.DATE, "de", r"datum"),
    (Role.DATE, "es", r"fecha"),
    (Role.DATE, "it", r"data|del"),
    (
        Role.DUE,
        "en",
        (
            r"(?:payment |invoice )?due(?: date| by| on)?|date due|"
            r"(?:please )?pay(?:able)? by|payment (?:due|deadline)|"
            r"due for payment"
        ),
    ),
    (
        Role.DUE,
        "de",
        (
            r"fallig(?:keit|keitsdatum| am| bis| zum)?|"
            r"zahlbar (?:innerhalb (?:von )?\d+ tagen,? )?(?:netto )?bis(?: zum|"
            r" spatestens)?|zu zahlen bis(?: zum)?|bitte (?:uberweisen|"
            r"zahlen) sie (?:den (?:rechnungs)?betrag )?bis(?: zum| spatestens)?|zahlungsziel|zahlungsfrist|"
            r"falligkeitstag"
        ),
    ),
    (
        Role.DUE,
        "fr",
        (
            r"(?:date d' ?)?echeance(?: le)?|a (?:payer|regler) (?:avant le|avant|le)|date limite (?:de paiement|"
            r"de reglement)|payable (?:le|avant le)|date d'exigibilite"
        ),
    ),
    (
        Role.DUE,
        "es",
        r"(?:fecha (?:de )?)?vencimiento|vence(?: el)?|fecha limite(?: de pago)?|pagar antes del|fecha de pago limite",
    ),
    (
        Role.DUE,
        "it",
        r"(?:data (?:di )?)?scadenza(?: pagamento| fattura)?|pagamento entro(?: il)?|da pagare entro(?: il)?|scade il",
    ),
    (
        Role.NET,
        "en",
        (
            r"sub-? ?total|net(?:t| total| amount| value| sum)?|"
            r"total (?:net(?: amount| value)?|excl(?:uding|usive|\.)?|"
            r"ex\.?|before|without|w/o)|total amount excl(?:uding|"
            r"\.)?|taxable (?:amount|total|value)|merchandise total|"
            r"goods total|amount (?:excl(?:uding|\.)?|before|ex)|total goods"
        ),
    ),
    (
        Role.NET,
        "de",
        (
            r"netto-?(?:betrag|summe|wert|gesamt)?|zwischensumme|(?:gesamt|rechnungs|end)?(?:betrag|summe) \(?(?:netto|"
            r"ohne)|gesamt netto|(?:waren|rechnungs)wert(?: netto)?|total netto"
        ),
    ),
    (
        Role.NET,
        "fr",
        (
            r"sous-?total(?: ht| h\.t\.)?|(?:prix |montant )?(?:total|montant)?(?: general| net)? ?\(?(?:ht|h\.t\.?|"
            r"hors taxes?|hors tva)|base (?:ht|imposable)|net ht"
        ),
    ),
    (
        Role.NET,
        "es",
        (
            rf"(?:total )?base(?: imponible)?|sub-?total|importe neto|total (?:neto|base|sin {_VAT_ES})|neto|"
            rf"importe sin {_VAT_ES}"
        ),
    ),
    (
        Role.NET,
        "it",
        (
            r"(?:totale )?imponibile|sub-?totale|totale (?:netto|imponibile|merce)|importo netto|base imponibile|"
            r"totale senza iva|netto merce"
        ),
    ),
    (
        Role.TAX,
        "en",
        rf"{_PLUS}(?:total )?(?:vat|v\.a\.t\.?|gst|hst|sales tax|tax)(?: amount| total)?|total amount of (?:vat|tax)",
    ),
    (
        Role.TAX,
        "de",
        (
            rf"(?:davon |darin |enthaltene |inkl\.? )*{_PLUS}(?:davon |darin |enthaltene |inkl\.? |gesetzl(?:iche|"
            rf"\.)? )*{_VAT_DE}(?:-?betrag|-?summe)?(?: gesamt)?|steuerbetrag|summe {_VAT_DE}|gesamt {_VAT_DE}"
        ),
    ),
    (Role.TAX, "fr", rf"{_PLUS}(?:montant |total |dont )?(?:de (?:la )?)?(?:tva|t\.v\.a\.?)"),
    (
        Role.TAX,
        "es",
        rf"{_PLUS}(?:cuota |importe |total )?(?:de )?(?:{_VAT_ES}|impuestos?(?: trasladados?)?)(?: trasladado)?|cuota",
    ),
    (Role.TAX, "it", rf"{_PLUS}(?:totale |importo |di cui )?(?:iva|i\.v\.a\.?|imposta)"),
    (
        Role.TOTAL,
        "en",
        (
            r"(?:grand |invoice |gross |credit )?total(?: (?:amount|price|invoice))?|total (?:incl(?:uding|usive|\.)?|"
            r"inc\.?|gross)|gross(?: amount)?|amount (?:incl(?:uding|\.)?|total)|invoice amount|"
            r"amount of (?:the )?invoice|total credit(?:ed)?"
        ),
    ),
    (
        Role.TOTAL,
        "de",
        (
            r"(?:gesamt|rechnungs|brutto|end|gutschrifts?)-?(?:betrag|summe)(?: brutto)?|(?:summe|gesamt|total|"
            r"rechnungssumme) \(?brutto|brutto|rechnungsendbetrag|gesamtsumme"
        ),
    ),
    (
        Role.TOTAL,
        "fr",
        (
            r"(?:montant |total |prix )?(?:total|montant|general|net)? ?\(?(?:ttc|t\.t\.c\.?)|total (?:general|"
            r"toutes taxes comprises)|montant total(?: ttc)?|total de la facture"
        ),
    ),
    (
        Role.TOTAL,
        "es",
        (
            rf"(?:importe )?total(?: factura| general| con {_VAT_ES}| de la factura)?|total {_VAT_ES} incluid[oa]|"
            r"total con impuestos"
        ),
    ),
    (
        Role.TOTAL,
        "it",
        (
            r"(?:importo )?totale(?: fattura| documento| complessivo| ivato| generale| ivo?a inclusa| lordo)?|"
            r"totale iva inclusa"
        ),
    ),
    (Role.SUM, "de", r"summe|gesamt|total"),
    (Role.SUM, "fr", r"total|montant"),
    (
        Role.PAYABLE,
        "en",
        (
            r"(?:total |net )?(?:amount |balance )?(?:due|payable|outstanding|to pay)(?: now)?|(?:total )?(?:amount|"
            r"balance) (?:due|payable|outstanding|to pay)|balance|please pay|total due|net payable|amount owing"
        ),
    ),
    (
        Role.PAYABLE,
        "de",
        (
            r"(?:zu )?zahl(?:ender )?betrag|zu zahlen(?:der betrag)?|noch (?:offen|zu zahlen)|offener (?:rest)?betrag|"
            r"rest(?:betrag|zahlung|forderung|summe)|falliger betrag|uberweisungsbetrag|verbleibender (?:rest)?betrag"
        ),
    ),
    (
        Role.PAYABLE,
        "fr",
        r"(?:net|montant|reste|solde|somme|total) (?:a payer|du|a regler|restant du)(?: ttc)?|a payer|solde(?: du)?",
    ),
    (
        Role.PAYABLE,
        "es",
        (
            r"(?:importe|total|saldo|liquido|neto|resto) (?:a (?:pagar|percibir|abonar)|pendiente|adeudado|liquido)|"
            r"a pagar|saldo"
        ),
    ),
    (
        Role.PAYABLE,
        "it",
        r"(?:netto|totale|importo|saldo|resta) (?:a |da )?(?:pagare|dovuto|avere|versare)|da pagare|saldo",
    ),
    (
        Role.PAID,
        "en",
        (
            r"(?:less |minus )?(?:amount |already )?(?:paid|deposit|prepaid|prepayment|advance(?: payment)?|"
            r"down ?payment|payments?)(?: (?:paid|received|to date|made|invoice|on))*"
        ),
    ),
    (
        Role.PAID,
        "de",
        (
            r"(?:abzgl\.? |abzuglich |erhaltene |geleistete )*(?:an|voraus|abschlags|teil)zahlung(?:en)?|"
            r"bereits (?:gezahlt|bezahlt)|bezahlt|gezahlt"
        ),
    ),
    (
        Role.PAID,
        "fr",
        r"(?:moins )?acomptes?(?: verses?| percus?)?|deja (?:paye|regle|verse)|montant (?:paye|regle|verse)|arrhes",
    ),
    (Role.PAID, "es", r"(?:menos )?(?:anticipos?|pagos? a cuenta|pagado|entregado a cuenta|a cuenta|importe pagado)"),
    (Role.PAID, "it", r"(?:meno )?(?:acconto|acconti|gia pagato|pagato|anticipo)"),
    (Role.WITHHELD, "es", r"(?:menos )?-? ?(?:retencion(?:es)?(?: de)?(?: irpf| isr| iva)?|i\.?r\.?p\.?f\.?|isr)"),
    (Role.WITHHELD, "it", r"(?:meno )?ritenut[ae](?: d'?\s?acconto)?"),
    (Role.WITHHELD, "en", r"(?:less )?withholding(?: tax)?|retention"),
    (
        Role.EXTRA,
        "en",
        (
            r"(?:less )?(?:shipping|delivery|freight|postage|carriage|handling|shipping (?:and|&) handling|discount|"
            r"rebate|rounding|surcharge|service charge|tip|gratuity|fee|insurance)(?: charges?| costs?| cost)?"
        ),
    ),
    (
        Role.EXTRA,
        "de",
        (
            r"(?:zzgl\.? |abzgl\.? )?(?:versand(?:kosten)?|porto|fracht(?:kosten)?|rabatt|nachlass|rundung|zuschlag|"
            r"verpackung|pfand|mindermengenzuschlag)"
        ),
    ),
    (
        Role.EXTRA,
        "fr",
        (
            r"(?:frais de )?(?:port|livraison|transport|expedition)|remise|rabais|arrondi|escompte|eco-?participation|"
            r"frais"
        ),
    ),
    (
        Role.EXTRA,
        "es",
        r"(?:gastos de )?(?:envio|portes|transporte)|descuento|dto\.?|redondeo|recargo(?: de)?(?: equivalencia)?|ieps",
    ),
    (
        Role.EXTRA,
        "it",
        (
            r"(?:spese di )?(?:spedizione|trasporto|incasso)|sconto|arrotondamento|(?:imposta di )?bollo|contributo|"
            r"cassa|rivalsa|spese"
        ),
    ),
    (Role.CURRENCY, "en", r"currency|all amounts (?:are )?(?:shown )?in|amounts (?:are )?in"),
    (Role.CURRENCY, "de", r"wahrung|(?:alle )?betrage in"),
    (Role.CURRENCY, "fr", r"devise|monnaie|montants (?:exprimes )?en"),
    (Role.CURRENCY, "es", r"moneda|divisa|importes (?:expresados )?en"),
    (Role.CURRENCY, "it", r"valuta|divisa|importi in"),
    (
        Role.VAT_ID,
        "en",
        (
            rf"(?:company )?(?:vat|gst|tax)(?: ?reg(?:istration|\.)?)? ?(?:{_NO}|id|reg|identification (?:no|"
            rf"number))(?: {_NO})?|(?:vat|gst) registration|(?:federal )?tax id(?:entification)?(?: {_NO})?|ein|abn|vat"
        ),
    ),
    (
        Role.VAT_ID,
        "de",
        (
            rf"(?:ust|umsatzsteuer|u\.?st|mwst)\.?[ -]*(?:id|ident|identifikation)(?:ent)?s?\.?[ -]*(?:{_NO})?|"
            rf"uid(?:[ -]*{_NO})?"
        ),
    ),
    (
        Role.VAT_ID,
        "fr",
        (
            r"(?:n[°ºo]?|no|numero)? ?(?:de )?(?:id(?:entification|\.)? )?(?:de )?(?:tva|"
            r"t\.v\.a\.)(?: intra(?:communautaire|com(?:\.|m\.)?|\.)?)?(?: n[°o])?"
        ),
    ),
    (
        Role.VAT_ID,
        "es",
        r"(?:n\.?i\.?f\.?|c\.?i\.?f\.?|rfc|r\.f\.c\.)(?: ?/ ?(?:n\.?i\.?f\.?|c\.?i\.?f\.?|vat|iva))?(?:[ -]iva)?",
    ),
    (
        Role.VAT_ID,
        "it",
        r"(?:p\.? ?iva|partita iva|part\. ?iva|p\.i\.)(?: ?(?:e|/) ?(?:c\.? ?f\.?|cod(?:ice|\.) ?fisc(?:ale|\.)))?",
    ),
    (Role.SUPPLIER_VAT_ID, "es", r"(?:rfc|nif|cif) ?(?:del )?(?:emisor|proveedor|vendedor)"),
    (
        Role.SUPPLIER_VAT_ID,
        "en",
        (
            rf"(?:our|seller'?s?|supplier'?s?|vendor'?s?) (?:vat|gst|tax)(?: reg(?:istration|\.)?)? ?(?:{_NO}|"
            rf"id)(?: {_NO})?"
        ),
    ),
    (Role.SUPPLIER_VAT_ID, "de", rf"unsere (?:ust|umsatzsteuer)\.?[ -]*(?:id|ident)(?:ent)?s?\.?[ -]*(?:{_NO})?"),
    (Role.CUSTOMER_VAT_ID, "es", r"(?:rfc|nif|cif) ?(?:del )?(?:receptor|cliente|comprador)"),
    (
        Role.CUSTOMER_VAT_ID,
        "en",
        (
            rf"(?:your|customer'?s?|client'?s?|buyer'?s?) (?:vat|gst|tax)(?: reg(?:istration|\.)?)? ?(?:{_NO}|"
            rf"id)(?: {_NO})?"
        ),
    ),
    (
        Role.CUSTOMER_VAT_ID,
        "de",
        rf"(?:ihre|kunden-?) ?(?:ust|umsatzsteuer)\.?[ -]*(?:id|ident)(?:ent)?s?\.?[ -]*(?:{_NO})?",
    ),
    (
        Role.CUSTOMER_VAT_ID,
        "fr",
        (
            r"(?:votre )?(?:n[°ºo]?|no|numero)? ?(?:de )?tva (?:intra(?:communautaire|com\.?)? )?(?:du )?client|"
            r"votre (?:n[°ºo]? )?(?:de )?tva"
        ),
    ),
    (Role.CUSTOMER_VAT_ID, "it", r"(?:p\.? ?iva|partita iva) (?:del )?(?:cliente|cessionario)"),
    (
        Role.CUSTOMER,
        "en",
        (
            r"bill(?:ed)?[ -]to(?: address)?|invoiced? to|sold[ -]to|customer(?: name)?|client(?: name)?|buyer|"
            r"invoice for|charge to|billing address|invoice address|to(?=:)"
        ),
    ),
    (
        Role.CUSTOMER,
        "de",
        (
            r"rechnung an|rechnungsempfanger|kaufer(?:/leistungsempfanger)?|kunde|auftraggeber|leistungsempfanger|"
            r"rechnungs(?:adresse|anschrift)"
        ),
    ),
    (Role.CUSTOMER, "fr", r"facture a|client|destinataire|adresse de facturation|acheteur|adresse a"),
    (Role.CUSTOMER, "es", r"(?:datos del )?cliente|facturar a|facturado a|destinatario|receptor|comprador"),
    (
        Role.CUSTOMER,
        "it",
        (
            r"cliente|destinatario|spett\.?(?:le|abile)?(?: ditta)?\.?|intestatario|cessionario(?: ?/ ?committente)?|"
            r"intestata a|fatturare a"
        ),
    ),
    (Role.SUPPLIER, "en", r"seller|vendor|supplier|from|issued by|invoice from|sold by"),
    (Role.SUPPLIER, "de", r"verkaufer|lieferant|rechnungssteller|rechnungsersteller|leistungserbringer|aussteller"),
    (Role.SUPPLIER, "fr", r"fournisseur|vendeur|emetteur|prestataire|emis par"),
    (Role.SUPPLIER, "es", r"(?:datos del )?emisor|proveedor|vendedor|emitido por"),
    (Role.SUPPLIER, "it", r"fornitore|cedente(?: ?/ ?prestatore)?|prestatore|emittente|venditore"),
    (Role.PLACE, "en", r"ship(?:ped)?[ -]to|deliver(?:ed)?[ -]to|delivery address|shipping address|consignee"),
    (Role.PLACE, "de", r"lieferanschrift|lieferadresse|lieferung an|warenempfanger"),
    (Role.PLACE, "fr", r"adresse de livraison|livre a|livraison a"),
    (Role.PLACE, "es", r"direccion de (?:envio|entrega)|enviar a"),
    (Role.PLACE, "it", r"destinazione(?: merce)?|luogo di (?:consegna|destinazione)"),
    (Role.BARE_NUMBER, "en", r"number|no\.|nr\.?"),
    (Role.BARE_NUMBER, "fr", r"n[°º]|numero"),
    (Role.BARE_NUMBER, "es", r"n\.[°º]?|num\.?"),
    # Known, and none of ours.
    (
        Role.OTHER,
        "en",
        (
            r"(?:purchase |sales |your |our |customer |client )*(?:order|p\.?o\.?|reference|ref|account|acct|customer|"
            r"client|delivery note|despatch|dispatch|packing (?:list|slip)|contract|project|job|quote|quotation|"
            r"shipment|tracking|company|registration|company reg(?:istration)?|"
            r"bank account|sort code|article|item|part|"
            r"serial|page|phone|fax|telephone|credit card|original invoice|related invoice|previous invoice|customs|"
            rf"tariff|hs|site|payment|transaction|statement|case|ticket)\.? ?(?:{_NO}|id|code|reference)?"
        ),
    ),
    (
        Role.OTHER,
        "en",
        (
            r"(?:purchase |sales )?order date|date of (?:order|supply|"
            r"delivery|service|birth|payment|despatch|dispatch)|"
            r"(?:delivery|supply|shipping|ship|service|despatch|dispatch|print(?:ed)?|payment|statement|contract|start|"
            r"end|period|tax point|cash discount|expiry|expiration|booking|departure|arrival|check-in|check-out|"
            r"last payment|original invoice) date|tax point|valid until|"
            r"delivered(?: on)?|printed(?: on)?|service period|"
            r"billing period|period|expires|paid on|payment received(?: on)?"
        ),
    ),
    (
        Role.OTHER,
        "en",
        (
            r"remit to|pay to|attn|attention|contact|payment terms|"
            r"terms|vat rate|tax rate|exchange rate|rate|page total|"
            r"(?:total )?(?:carried|brought) (?:forward|over|down)|c/f|b/f|previous (?:balance|invoice)(?: total)?|"
            r"opening balance|balance (?:brought|carried) forward|"
            r"last invoice|total (?:hours|quantity|qty|weight|items|"
            r"units|discount|savings|lines|packages|volume|paid|pages)|tax base|taxable base"
        ),
    ),
    (
        Role.OTHER,
        "de",
        (
            r"(?:bestell|auftrags?|kunden|liefer|lieferschein|"
            r"vertrags?|projekt|angebots?|steuer|artikel|konto|vorgangs|"
            r"referenz|mitarbeiter|handelsregister|stamm|zoll|personal|telefon|fax|blz|kassenzeichen|"
            r"mandats(?:referenz)?|ursprungs?rechnungs?|"
            rf"original-?rechnungs?|bezugs?rechnungs?)s?[ -]*(?:{_NO}|zeichen|"
            r"id)\.?|ihr(?:e)? (?:zeichen|bestellung|auftrag|kundennummer|referenz)|unser zeichen|zu rechnung|"
            rf"bestellung|lieferschein|auftrag|angebot|leitweg-?id|iban|bic|st-?{_NO}"
        ),
    ),
    (
        Role.OTHER,
        "de",
        (
            r"(?:liefer|leistungs|bestell|auftrags|druck|versand|lieferschein|eingangs|vertrags|buchungs|zahlungs|"
            r"angebots|mahn)-?datum|(?:liefer|leistungs|abrechnungs)(?:zeitraum|periode)|(?:liefer- und leistungs|"
            r"liefer-/leistungs)datum|gedruckt am|bestellt am|"
            r"geliefert am|lieferung(?: am)?|leistung(?: vom)?|zeitraum|"
            r"skonto(?: bis)?|bei zahlung bis|gultig bis|tag der lieferung"
        ),
    ),
    (
        Role.OTHER,
        "de",
        (
            rf"ansprechpartner|bearbeiter|{_VAT_DE}[ -]*satz|steuersatz|ubertrag|seitensumme|seite|zahlungsbedingungen|"
            r"summe (?:positionen|stunden|rabatt)|positionssumme|gesamtgewicht|gesamtmenge|saldo(?:vortrag)?|"
            r"letzte rechnung|vorherige rechnung|kontoinhaber|verwendungszweck"
        ),
    ),
    (
        Role.OTHER,
        "fr",
        (
            r"(?:n[°ºo]?|no|numero|ref(?:erence)?\.?|code)? ?(?:de |du |d')?(?:commande|client|bon de (?:livraison|"
            r"commande)|contrat|dossier|compte|devis|affaire|chantier|siret|siren|rcs|article|page|facture d'origine|"
            r"facture initiale)(?: n[°ºo]| no| client)?|siret|siren|votre (?:ref(?:erence)?|commande)|"
            r"notre ref(?:erence)?|naf|ape|rcs|iban|bic"
        ),
    ),
    (
        Role.OTHER,
        "fr",
        (
            r"date (?:de |d'|du )?(?:la )?(?:commande|livraison|expedition|prestation|paiement|reglement|impression|"
            r"debut|fin|devis|valeur)|livre(?: le)?|periode(?: de facturation)?|"
            r"imprime le|taux(?: de)?(?: tva)?|report|"
            r"a reporter|total page|conditions (?:de )?(?:paiement|reglement)|total (?:heures|quantites?|colis|poids)|"
            r"solde (?:precedent|anterieur)|mode de (?:paiement|reglement)|contact|a l'attention de"
        ),
    ),
    (
        Role.OTHER,
        "es",
        (
            r"(?:n[.°ºo]*|num(?:ero|\.)?|cod(?:igo|\.)?|ref(?:erencia|\.)?)? ?(?:de |del )?(?:pedido|cliente|albaran|"
            r"contrato|cuenta|presupuesto|expediente|proyecto|orden(?: de compra)?|certificado|pagina|"
            r"factura (?:original|rectificada))(?: n[.°ºo]*| num(?:ero)?)?|folio fiscal|uuid|su (?:pedido|referencia)|"
            r"registro mercantil|iban|bic|regimen fiscal|c\.p\.|codigo postal|tipo de cambio|"
            r"no\. ?(?:de )?certificado(?: del sat)?"
        ),
    ),
    (
        Role.OTHER,
        "es",
        (
            r"fecha (?:de |del )?(?:la )?(?:entrega|pedido|albaran|operacion|pago|impresion|certificacion|servicio|"
            r"envio|devengo|timbrado|factura original)|fecha y hora de certificacion|periodo|"
            rf"tipo(?: de)?(?: {_VAT_ES})?|% {_VAT_ES}|suma y sigue|suma anterior|forma de pago|metodo de pago|"
            r"condiciones(?: de pago)?|total (?:horas|unidades|bultos|"
            r"peso|articulos|pagado|retenciones)|saldo anterior|"
            r"pagina|uso (?:del )?cfdi|monto total pagado|lugar de expedicion"
        ),
    ),
    (
        Role.OTHER,
        "it",
        (
            r"(?:n[.°º]*|num(?:ero|\.)?|cod(?:ice|\.)?|rif(?:erimento|\.)?)? ?(?:di |del )?(?:ordine|cliente|ddt|"
            r"d\.d\.t\.|bolla|contratto|conto|commessa|preventivo|rea|articolo|pagina|documento di trasporto|"
            r"fattura (?:originale|di riferimento))(?: n[.°º]*| num(?:ero)?)?|cod(?:ice|\.) ?(?:fisc(?:ale|\.)|univoco|"
            r"destinatario|sdi)|c\.? ?f\.?|vs\.? (?:ordine|rif(?:erimento|\.)?)|ns\.? rif(?:erimento|\.)?|iban|bic|pec|"
            r"sdi|cig|cup"
        ),
    ),
    (
        Role.OTHER,
        "it",
        (
            r"data (?:di |del(?:l'|la)? ?)?(?:ordine|consegna|ddt|d\.d\.t\.|trasporto|pagamento|stampa|spedizione|"
            r"competenza|decorrenza)|periodo|aliquota(?: iva)?|% iva|riporto|a riportare|modalita di pagamento|"
            r"condizioni di pagamento|totale (?:ore|colli|peso|quantita|pezzi)|saldo precedente|pagina|banca"
        ),
    ),
)

#: What may follow a label before its value.
_TAIL = r"[\s.:#°º]*"


def _compiled(pattern: str) -> re.Pattern[str]:
    # "Total (excl. VAT)" is "Total excl. VAT": a blank may be a bracket that opens.
    spaced = re.sub(r"\[[^\]]*\]| ", lambda found: r"(?: \(?|\()" if found[0] == " " else found[0], pattern)
    return re.compile(rf"(?:{spaced})(?![a-z0-9]){_TAIL}")


_COMPILED = [(role, language, _compiled(pattern)) for role, language, pattern in _PATTERNS]

_CODES = (
    "EUR USD GBP CHF MXN CAD AUD NZD JPY CNY SEK NOK DKK PLN CZK HUF RON BGN TRY BRL ARS CLP COP PEN UYU "
    "INR ZAR SGD HKD AED SAR ILS KRW THB IDR MYR PHP VND EGP MAD NGN KES UAH RSD ISK"
)
#: ISO 4217 code ← what stands for it. A bare dollar or crown belongs to many countries, so it is none.
CURRENCIES: Mapping[str, str] = {
    **{code: code for code in _CODES.split()},
    "€": "EUR",
    "£": "GBP",
    "US$": "USD",
    "C$": "CAD",
    "CA$": "CAD",
    "A$": "AUD",
    "AU$": "AUD",
    "NZ$": "NZD",
    "MX$": "MXN",
    "EURO": "EUR",
    "EUROS": "EUR",
    "SFR": "CHF",
    "FR.": "CHF",
    "ZŁ": "PLN",
    "KČ": "CZK",
}

_FILLERS = (
    "scissione dei pagamenti split payment "
    "incl inc including inclusive inkl einschl excl excluding exclusive exkl ex zzgl of on at in the auf von aus "
    "sur de du la le des su sul sulla il i del al a and und et y e zu vat gst tax taxes mwst ust tva iva igic ht "
    "ttc net netto brutto gross amount betrag montant importe importo total trasladado s r st standard reduced rate "
    "zero satz taux tipo aliquota before after by to ohne hors toutes comprises incluido inclusa compresa reverse "
    "charge autoliquidation intracommunautaire exempt exento esente gesetzliche umsatzsteuer mehrwertsteuer base "
    "imponible due u"
)
#: Words that stand between a label of an amount and its number, and change nothing about it.
FILLERS = frozenset(_FILLERS.split())

LEGAL_FORM = re.compile(
    r"(?<![a-z0-9])(?:gmbh|mbh|ag|kg|kgaa|ohg|gbr|ug|e\.? ?k\.?|e\.? ?v\.?|se|eg|ltd|limited|plc|llp|llc|inc|"
    r"incorporated|corp|"
    r"corporation|company|co|s\.?a\.?s\.?u?|s\.?a\.?r\.?l\.?|eurl|sasu|s\.?n\.?c\.?|s\.?c\.?o\.?p\.?|s\.?a\.?|"
    r"s\.?l\.?u?\.?|s\.?l\.?l\.?|s\.?r\.?l\.?s?\.?|s\.?p\.?a\.?|"
    r"s\.?a\.?p\.?i\.?|s\. ?de ?r\.?l\.?|a\.?c\.?|s\.? ?coop\.?|b\.?v\.?|n\.?v\.?|d\.?o\.?o\.?|s\.?p\.?|oy|ab|a/s|"
    r"aps|as|sp\. ?z ?o\. ?o\.?|de c\.? ?v\.?)(?![a-z0-9])"
)

#: VAT numbers of the European Union and its neighbours, Spanish NIF, Italian partita IVA, Mexican RFC, US EIN.
VAT_ID = re.compile(
    r"ATU\d{8}|BE[ ]?[01]\d{3}[ .]?\d{3}[ .]?\d{3}|BG\d{9,10}|CHE-?\d{3}\.?\d{3}\.?\d{3}(?: (?:MWST|TVA|IVA))?|"
    r"CY\d{8}[A-Z]|CZ\d{8,10}|"
    r"DE ?\d{3} ?\d{3} ?\d{3}|DK ?\d{2} ?\d{2} ?\d{2} ?\d{2}|EE\d{9}|EL\d{9}|ES ?[A-Z0-9]\d{7}[A-Z0-9]|FI\d{8}|"
    r"FR ?[A-Z0-9]{2} ?\d{3} ?\d{3} ?\d{3}|"
    r"GB ?\d{3} ?\d{4} ?\d{2}(?: ?\d{3})?|HR\d{11}|HU\d{8}|IE ?\d[A-Z0-9]\d{5}[A-Z]{1,2}|IT ?\d{11}|LT\d{9,12}|"
    r"LU ?\d{8}|LV\d{11}|MT\d{8}|"
    r"NL ?\d{9}B\d{2}|PL ?\d{10}|PT ?\d{9}|RO\d{2,10}|SE\d{12}|SI ?\d{8}|SK\d{10}|"
    r"[ABCDEFGHJNPQRSUVW]-?\d{7}[0-9A-J]|[0-9XYZ]\d{7}-?[A-Z]|\d{11}|[A-ZÑ&]{3,4}-?\d{6}-?[A-Z0-9]{3}|\d{2}-\d{7}"
)

_INVOICE_TITLES = (
    r"(?:(?:tax|vat|sales|commercial|final|credit|self-billed|self-billing) )?invoice|credit (?:note|memo)|bill|"
    r"(?:handels|schluss|teil|abschlags|sammel|stroh)?-?rechnung|(?:rechnungs)?gutschrift|rechnungskorrektur|"
    r"stornorechnung|"
    r"facture(?: d'avoir)?|avoir|note de credit|note d'honoraires|"
    r"factura(?: rectificativa| simplificada| electronica)?|"
    r"nota de credito|"
    r"fattura(?: immediata| differita| accompagnatoria)?|nota di credito|parcella|cfdi de (?:ingreso|egreso|pago|"
    r"traslado)|comprobante fiscal digital(?: por internet)?"
)
_OTHER_TITLES = (
    r"quot(?:e|ation)|(?:cost )?estimate|(?:sales |purchase )?order(?: confirmation| acknowledgement)?|"
    r"order confirmation|delivery (?:note|docket)|"
    r"packing (?:list|slip)|despatch note|dispatch note|pro[ -]?forma(?: invoice)?|(?:final |payment |first |second |"
    r"third )*reminder|overdue notice|past due notice|"
    r"statement(?: of account)?|account statement|remittance advice|(?:payment |official |cash |sales )?receipt|"
    r"payment advice|payslip|contract|timesheet|"
    r"angebot|kostenvoranschlag|auftragsbestatigung|bestellung|auftrag|lieferschein|(?:\d\. |erste |zweite |"
    r"letzte )?(?:mahnung|zahlungserinnerung)|"
    r"pro-?forma-?rechnung|kontoauszug|quittung|zahlungsavis|packliste|"
    r"devis|bon de (?:livraison|commande)|(?:lettre de )?(?:relance|rappel)(?: de paiement| de facture)?|"
    r"facture pro[ -]?forma|releve de compte|recu|accuse de reception|confirmation de commande|"
    r"presupuesto|pedido|albaran(?: de entrega)?|nota de entrega|cotizacion|orden de compra|"
    r"recordatorio(?: de pago)?|factura pro-?forma|estado de cuenta|recibo|remision|"
    r"preventivo|ordine(?: d'acquisto| di acquisto)?|conferma d'ordine|(?:documento di trasporto|ddt|d\.d\.t\.)|"
    r"bolla(?: di consegna)?|sollecito(?: di pagamento)?|"
    r"fattura pro-?forma|estratto conto|ricevuta|cfdi de nomina|recibo de nomina"
)
#: Titles of documents that take back what an invoice said.
CREDIT = re.compile(
    r"credit|(?:rechnungs)?gutschrift|rechnungskorrektur|storno|avoir|facture d'avoir|factura rectificativa|"
    r"not[ae] d[ei] credito?"
)
#: Words of invoices that the customer writes for the supplier. In German that is what "Gutschrift" means by law, and
#: many call a credit note so.
SELF_BILLED = re.compile(
    r"^gutschrift|self-?billed|self-?billing|gutschriftsverfahren|"
    r"im abrechnungsverfahren|autofactur|autofattura|auto-?facturation",
    re.MULTILINE,
)
_INVOICE_TITLE = re.compile(rf"(?:(?:your|ihre|unsere|votre|la|su|tu|vostra) )?(?:{_INVOICE_TITLES})(?![a-z-])")
_OTHER_TITLE = re.compile(rf"(?:{_OTHER_TITLES})(?![a-z-])")


def labels_at(text: str) -> Sequence[Label]:
    """The longest labels that the folded *text* begins with; several where one word has several meanings."""
    found = list(_labels_at(text))
    longest = max((label.end for label in found), default=0)
    return [label for label in found if label.end == longest]


def _labels_at(text: str) -> Iterator[Label]:
    for role, language, pattern in _COMPILED:
        if (match := pattern.match(text)) is not None:
            yield Label(role, language, match.end())


def title_of(text: str) -> tuple[bool, int] | None:
    """Whether the folded *text* begins as an invoice's title, and where that ends; None where it is no title.

    A quotation, an order, a delivery note, a reminder or a receipt is a title too, and no invoice.
    """
    other, invoice = _OTHER_TITLE.match(text), _INVOICE_TITLE.match(text)
    if other is not None and (invoice is None or other.end() >= invoice.end()):
        return False, other.end()
    return None if invoice is None else (True, invoice.end())
