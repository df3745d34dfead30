"""All that is held besides invoices: returns, certificates, registers, reports; a few rows of each, made at once.

What a source tells anew each time it is asked (`tax_status` and the like) has one row from the start, and one more for
each extraction that asked. The names of files' types are the vendor's where its pages name them.
"""

from __future__ import annotations

import calendar
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import attrs

from docpoll.emulator.syntage.data.addresses import Address
from docpoll.emulator.syntage.data.files import StoredFile
from docpoll.emulator.syntage.data.invoices import MEXICO, YEAR
from docpoll.emulator.syntage.data.pdf import pdf_of
from docpoll.emulator.syntage.data.people import party, staff
from docpoll.emulator.syntage.data.rows import Shape
from docpoll.emulator.syntage.data.xml import element, local, noise, stamp
from docpoll.emulator.syntage.data.zips import zipped
from docpoll.emulator.syntage.records import Entity
from docpoll.emulator.syntage.shapes import instant, taxpayer_shape
from docpoll.emulator.syntage.yields import records_in

__all__ = ["EXTRACTOR_OF", "FROM_THE_START", "Asked", "Holding", "holdings_of"]

#: When what was there from the start was found out.
FROM_THE_START: Final = datetime(2024, 5, 19, 12, tzinfo=UTC)
_MONTHS: Final = (
    *("Enero", "Febrero", "Marzo", "Abril", "Mayo", "Junio", "Julio", "Agosto", "Septiembre", "Octubre"),
    *("Noviembre", "Diciembre"),
)
_RETENTIONS: Final = "http://www.sat.gob.mx/esquemas/retencionpago/2"
_BALANCE: Final = "http://www.sat.gob.mx/esquemas/ContabilidadE/1_3/BalanzaComprobacion"

#: Which extractor finds rows of a kind.
EXTRACTOR_OF: Final[dict[str, tuple[str, ...]]] = {
    "tax_retention": ("tax_retention",),
    "tax_return": ("monthly_tax_return", "annual_tax_return", "rif_tax_return"),
    "tax_status": ("tax_status",),
    "tax_compliance_check": ("tax_compliance",),
    "electronic_accounting_record": ("electronic_accounting",),
    "sat_certificate": ("sat_certificates",),
    "rpc_entidad": ("rpc",),
    "rpc_acto": ("rpc",),
    "rpc_socio": ("rpc",),
    "rug_garantia": ("rug",),
    "rug_operacion": ("rug",),
    "buro_report": ("buro_de_credito_report",),
    "bil_report": ("bil",),
    "background_check": ("background_check",),
}


@attrs.frozen(kw_only=True)
class Asked:
    """A source was asked, by an extraction that ended then."""

    at: datetime
    options: Any = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Holding:
    """A row, and the files it has."""

    shape: Shape
    files: tuple[StoredFile, ...] = ()
    #: The day it is about, which is what an extraction's period is about; None: it is in any.
    at: datetime | None = None
    #: Which of several extractors of its kind finds it.
    extractor: str = ""
    #: What else can be read of it.
    data: Shape | None = None


def holdings_of(kind: str, entity: Entity, *, seed: int, asked: Sequence[Asked]) -> list[Holding]:
    """The rows of a *kind* that are held of *entity*, whose sources were *asked* since the start."""
    if entity.rfc is None:
        return []
    return _MAKERS[kind](_Maker(entity, kind, seed), (Asked(at=FROM_THE_START), *asked))


class _Maker:
    """What the rows of one kind of one entity have in common."""

    def __init__(self, entity: Entity, kind: str, seed: int) -> None:
        assert entity.rfc is not None
        self.entity = entity
        self.rfc = entity.rfc
        self.kind = kind
        self.seed = seed
        self.is_person = len(entity.rfc) == 13
        self._owner = Address.owner_of(entity.id)

    def roll(self, place: int) -> random.Random:
        """The dice for what is at *place*."""
        return random.Random(f"{self.seed} {self.entity.id} {self.kind} {place}")

    def id(self, place: int, at: datetime, *, kind: str | None = None, part: int = 0, file: int = 0) -> str:
        """The id of what is at *place*."""
        return Address(kind=kind or self.kind, owner=self._owner, place=place, part=part, file=file).id_at(at)

    def head(self, path: str, kind: str, place: int, at: datetime) -> Shape:
        """What a row begins with."""
        row_id = self.id(place, at)
        return {"@id": f"{path}/{row_id}", "@type": kind, "id": row_id}

    def file(
        self,
        place: int,
        at: datetime,
        number: int,
        *,
        type: str,
        resource: str,
        read: Callable[[], bytes],
        name: str,
        media_type: str = "application/pdf",
        part: int = 0,
        kind: str | None = None,
    ) -> StoredFile:
        """The file with a *number*, from 1, of what is at *place*."""
        return StoredFile(
            id=self.id(place, at, file=number, part=part, kind=kind),
            type=type,
            resource=resource,
            media_type=media_type,
            extension=name.rpartition(".")[2],
            name=name,
            created_at=at,
            read=read,
        )

    def page(self, title: str, *lines: object) -> Callable[[], bytes]:
        """What gives a PDF with a *title* and the entity's name."""
        return partial(pdf_of, [title, "", self.entity.name, self.rfc, *map(str, lines)])


def _dates(at: datetime) -> Shape:
    return {"createdAt": instant(at), "updatedAt": instant(at)}


def _curp(rfc: str) -> str:
    return f"{rfc[:10]}HDFRRN09"


# -- retentions ----------------------------------------------------------------------------------------------------


def _retentions(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for month in range(1, 13):
        count = records_in(made.entity.id, "tax_retention", f"{YEAR}-{month:02d}", seed=made.seed)
        holdings += [_retention(made, month, nth) for nth in range(count)]
    return holdings


def _retention(made: _Maker, month: int, nth: int) -> Holding:
    place = month * 8 + nth
    roll = made.roll(place)
    at = datetime(YEAR, month, 3 + 6 * nth, 19 + nth, roll.randrange(60), 12, tzinfo=MEXICO).astimezone(UTC)
    row_id = made.id(place, at)
    uuid = f"{row_id[:14]}4{row_id[15:]}"
    other = staff(made.seed, made.entity.id, nth)
    me = {"rfc": made.rfc, "name": made.entity.name}
    them = {"rfc": other.rfc, "name": other.name}
    issued = roll.random() < 0.5
    issuer, receiver = (me, them) if issued else (them, me)
    amount = roll.randrange(100_000, 9_000_000) / 100
    kept = round(amount * 0.1, 2)
    has_pdf = roll.random() < 0.9
    shape = {
        **made.head("/tax-retentions", "TaxRetention", place, at),
        "uuid": uuid,
        "version": 2.0,
        "code": "14",
        "description": "Dividendos o utilidades distribuidas",
        "issuer": {**issuer, "curp": _curp(issuer["rfc"])},
        "receiver": {**receiver, "nationality": "national", "curp": _curp(receiver["rfc"])},
        "pac": "SAT970701NN3",
        "internalIdentifier": f"R{place:05d}",
        "issuedAt": instant(at),
        "certifiedAt": instant(at + timedelta(seconds=4)),
        "canceledAt": None,
        "items": [{"baseAmount": amount, "taxType": "001", "retainedAmount": kept, "paymentType": "provisional"}],
        "totalOperationAmount": amount,
        "totalTaxableAmount": amount,
        "totalExemptAmount": 0.0,
        "totalRetainedAmount": kept,
        "periodFrom": f"{YEAR}-{month:02d}-01T00:00:00.000Z",
        "periodTo": f"{YEAR}-{month:02d}-{calendar.monthrange(YEAR, month)[1]}T00:00:00.000Z",
        "pdf": has_pdf,
        "xml": True,
        **_dates(at + timedelta(hours=9)),
    }
    resource = str(shape["@id"])
    files = [
        made.file(
            *(place, at, 1),
            type="tax_retention.cfdi.xml",
            resource=resource,
            read=partial(_retention_xml, shape),
            name=f"{uuid}.xml",
            media_type="text/xml",
        )
    ]
    if has_pdf:
        read = made.page("Constancia de retenciones", f"Folio fiscal: {uuid.upper()}", f"Total retenido: {kept}")
        files.append(
            made.file(place, at, 2, type="tax_retention.cfdi.pdf", resource=resource, read=read, name=f"{uuid}.pdf")
        )
    data = {"Version": "2.0", "FolioInt": shape["internalIdentifier"], "Totales": {"MontoTotRet": str(kept)}}
    return Holding(shape=shape, files=tuple(files), at=at, data=data)


def _retention_xml(shape: Shape) -> bytes:
    at = datetime.fromisoformat(shape["issuedAt"])
    issuer, receiver, item = shape["issuer"], shape["receiver"], shape["items"][0]
    seal = noise(f"{shape['uuid']} seal", 256)
    kept = {"ImpuestoRet": "001", "MontoRet": f"{item['retainedAmount']:.2f}", "TipoPagoRet": "01"}
    totals = {
        "MontoTotOperacion": f"{shape['totalOperationAmount']:.2f}",
        "MontoTotGrav": f"{shape['totalTaxableAmount']:.2f}",
        "MontoTotExent": "0.00",
        "MontoTotRet": f"{shape['totalRetainedAmount']:.2f}",
    }
    national = {"RfcR": receiver["rfc"], "NomDenRazSocR": receiver["name"], "DomicilioFiscalR": "06600"}
    month = f"{at.astimezone(MEXICO).month:02d}"
    inside = [
        element(
            "retenciones:Emisor", {"RfcE": issuer["rfc"], "NomDenRazSocE": issuer["name"], "RegimenFiscalE": "601"}
        ),
        element("retenciones:Receptor", {"NacionalidadR": "Nacional"}, [element("retenciones:Nacional", national)]),
        element("retenciones:Periodo", {"MesIni": month, "MesFin": month, "Ejercicio": YEAR}),
        element(
            "retenciones:Totales",
            totals,
            [element("retenciones:ImpRetenidos", {"BaseRet": f"{item['baseAmount']:.2f}", **kept})],
        ),
        element("retenciones:Complemento", {}, [stamp(uuid=shape["uuid"], pac=shape["pac"], at=at, seal=seal)]),
    ]
    root = {
        "xmlns:retenciones": _RETENTIONS,
        "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
        "Version": "2.0",
        "FolioInt": shape["internalIdentifier"],
        "Sello": seal,
        "NoCertificado": "00001000000501234567",
        "Certificado": noise(issuer["rfc"], 1086),
        "FechaExp": local(at),
        "LugarExpRetenc": "06600",
        "CveRetenc": shape["code"],
    }
    return ('<?xml version="1.0" encoding="UTF-8"?>\n' + element("retenciones:Retenciones", root, inside)).encode()


# -- returns, status, compliance, accounting -----------------------------------------------------------------------


def _returns(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for month in range(1, 13):
        holdings.append(_return(made, month - 1, "monthly_tax_return", "Mensual", month))
        if made.is_person:
            holdings.append(_return(made, 20 + month, "rif_tax_return", "RIF", month))
    holdings.append(_return(made, 12, "annual_tax_return", "Anual", 12))
    # March's was put right later.
    holdings.append(_return(made, 13, "monthly_tax_return", "Mensual", 3))
    return holdings


def _return(made: _Maker, place: int, extractor: str, unit: str, month: int) -> Holding:
    roll = made.roll(place)
    year, filed = (YEAR, month + 1) if month < 12 else (YEAR + 1, 1)
    if unit == "Anual":
        year, filed = YEAR + 1, 4
    if is_second := place == 13:
        filed += 2
    at = datetime(year, filed, 17, 22, roll.randrange(60), 30, tzinfo=MEXICO).astimezone(UTC)
    due = roll.randrange(0, 5_000_000) / 100 if roll.random() < 0.7 else 0.0
    number = 200_100_000_000 + roll.randrange(10**8)
    line = f"0{number}"[:20] if due else None
    shape = {
        **made.head("/tax-returns", "TaxReturn", place, at),
        "taxpayer": taxpayer_shape(made.entity),
        "operationNumber": number,
        "intervalUnit": unit,
        "period": str(YEAR) if unit == "Anual" else _MONTHS[month - 1],
        "fiscalYear": str(YEAR),
        "type": "Complementaria" if is_second else "Normal",
        "complementary": "Modificación de Declaración" if is_second else None,
        "presentedAt": instant(at),
        "captureLine": line,
        "issifObligation": False,
        **_dates(at + timedelta(hours=10)),
    }
    if due:
        shape["payment"] = {
            "dueAmount": due,
            "dueDate": instant(at + timedelta(days=1)),
            "code": line,
            "bank": "BBVA México, S.A.",
            "paidAmount": due,
            "date": instant(at + timedelta(hours=12)),
            "operationNumber": str(number)[-6:],
        }
    forms = ["transcript", "ack_receipt", *(["payment_receipt"] if due else [])]
    files = tuple(
        made.file(
            *(place, at, nth),
            type=f"tax_return.{form}",
            resource=str(shape["@id"]),
            read=made.page(f"Declaración {shape['period']} {YEAR}", form, f"Número de operación: {number}", due),
            name=f"{number}-{form}.pdf",
        )
        for nth, form in enumerate(forms, start=1)
    )
    shape["files"] = [file.shape() for file in files]
    data = {"operationNumber": number, "determination": {"dueAmount": due}} if unit != "RIF" else None
    return Holding(shape=shape, files=files, at=at, extractor=extractor, data=data)


def _statuses(made: _Maker, asked: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place, one in enumerate(asked):
        at = one.at
        names = made.entity.name.split()
        person = {
            "fullName": made.entity.name,
            "firstName": names[0],
            "middleName": " ".join(names[1:-1]),
            "lastName": names[-1],
            "curp": _curp(made.rfc),
        }
        company = {"legalName": made.entity.name, "tradeName": made.entity.name, "entityType": "SOCIEDAD ANONIMA"}
        head = made.head("/tax-status", "TaxStatus", place, at)
        file = made.file(
            *(place, at, 1),
            type="tax_status.proof",
            resource=head["@id"],
            read=made.page("Constancia de Situación Fiscal", instant(at)),
            name=f"{made.rfc}-constancia.pdf",
        )
        since = {"startDate": made.entity.registered_on}
        shape = {
            **head,
            "file": file.shape(),
            "rfc": made.rfc,
            "cif": str(20_060_000_000 + made.roll(0).randrange(10**6)),
            **({"person": person} if made.is_person else {"company": company}),
            "email": "contacto@example.com",
            "phone": "5512345678",
            "address": {
                "streetReferences": ["Entre Calle Uno y Calle Dos"],
                "streetNumber": "12",
                "buildingNumber": "3",
                "locality": "CUAUHTEMOC",
                "municipality": "CUAUHTEMOC",
                "postalCode": "06600",
                "state": "CIUDAD DE MEXICO",
                "streetName": "Reforma",
                "streetType": "Avenida",
                "neighborhood": "Juárez",
                "statusRaw": "LOCALIZADO - Domicilio Localizado",
            },
            "economicActivities": [
                {"name": "Comercio al por mayor", "order": "1", "percentage": "100", **since},
            ],
            "taxRegimes": [{"code": 612 if made.is_person else 601, "name": "Régimen General", **since}],
            "obligations": [
                {
                    "description": "Pago definitivo mensual de IVA.",
                    "dueDate": "A más tardar el día 17 del mes inmediato posterior al periodo que corresponda.",
                    **since,
                }
            ],
            "startedOperationsAt": f"{made.entity.registered_on}T00:00:00.000Z",
            "status": "Activo",
            "statusUpdatedAt": f"{made.entity.registered_on}T00:00:00.000Z",
            **_dates(at),
        }
        holdings.append(Holding(shape=shape, files=(file,)))
    return holdings


def _checks(made: _Maker, asked: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place, one in enumerate(asked):
        head = made.head("/tax-compliance-checks", "TaxComplianceCheck", place, one.at)
        folio = f"{one.at:%y}NE{made.roll(place).randrange(10**7):07d}"
        file = made.file(
            *(place, one.at, 1),
            type="tax_compliance_check.opinion",
            resource=head["@id"],
            read=made.page("Opinión del cumplimiento de obligaciones fiscales", folio),
            name=f"{folio}.pdf",
        )
        shape = {
            **head,
            "file": file.shape(),
            "internalIdentifier": folio,
            "taxpayer": {"rfc": made.rfc, "name": made.entity.name},
            "result": "positive" if place % 3 == 0 else "negative",
            "checkedAt": instant(one.at),
            "createdAt": instant(one.at),
        }
        holdings.append(Holding(shape=shape, files=(file,)))
    return holdings


def _accounting(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for month, form in [(1, "CT"), *((month, "B") for month in range(1, 13))]:
        place = month * 2 + (form == "CT")
        year, received = (YEAR, month + 1) if month < 12 else (YEAR + 1, 1)
        at = datetime(year, received, 5, 20, 15, place, tzinfo=MEXICO).astimezone(UTC)
        head = made.head("/electronic-accounting-records", "ElectronicAccountingRecord", place, at)
        stem = f"{made.rfc}{YEAR}{month:02d}{form}{'N' if form == 'B' else ''}"
        balance = element(
            "BCE:Balanza",
            {
                "xmlns:BCE": _BALANCE,
                "Version": "1.3",
                "RFC": made.rfc,
                "Mes": f"{month:02d}",
                "Anio": YEAR,
                "TipoEnvio": "N",
            },
            [element("BCE:Ctas", {"NumCta": "100", "SaldoIni": "0", "Debe": "10", "Haber": "10", "SaldoFin": "0"})],
        )
        files = (
            made.file(
                *(place, at, 1),
                type="electronic_accounting_record.file",
                resource=head["@id"],
                read=partial(zipped, [(f"{stem}.xml", balance.encode())]),
                name=f"{stem}.zip",
                media_type="application/zip",
            ),
            made.file(
                *(place, at, 2),
                type="electronic_accounting_record.ack_receipt",
                resource=head["@id"],
                read=made.page("Acuse de recepción", stem),
                name=f"{stem}-acuse.pdf",
            ),
        )
        shape = {
            **head,
            "year": YEAR,
            "month": month,
            "type": "N" if form == "B" else None,
            "reason": "EM",
            "fileType": form,
            "filename": f"{stem}.zip",
            "code": f"{2220300000000000000 + place:022d}",
            "receivedAt": instant(at),
            "status": "accepted",
            "files": [file.shape() for file in files],
            **_dates(at + timedelta(hours=10)),
        }
        holdings.append(Holding(shape=shape, files=files, at=at))
    return holdings


def _certificates(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(records_in(made.entity.id, "sat_certificates", "ever", seed=made.seed)):
        at = FROM_THE_START + timedelta(seconds=place)
        kind = "efirma" if place == 0 else "csd"
        number = f"{1000000500000000 + made.roll(place).randrange(10**8):020d}"
        head = made.head("/datasources/mx/sat/certificados", "SatCertificate", place, at)
        file = made.file(
            *(place, at, 1),
            type="sat_certificate.cer",
            resource=head["@id"],
            read=partial(_certificate, f"{made.rfc} {place}"),
            name=f"{number}.cer",
            media_type="application/x-x509-ca-cert",
        )
        begun = datetime(2021 + place, 11, 11, 19, 2, 9, tzinfo=UTC)
        shape = {
            **head,
            "link": f"/entities/{made.entity.id}",
            "serialNumber": number,
            "type": kind,
            "issuer": {"id-at-commonName": "AUTORIDAD CERTIFICADORA", "id-at-countryName": "MX"},
            "subject": {
                "id-at-name": made.entity.name.upper(),
                "id-at-commonName": made.entity.name.upper(),
                "id-at-serialNumber": made.rfc,
                "id-at-uniqueIdentifier": made.rfc,
            },
            "validFrom": instant(begun),
            "validTo": instant(begun.replace(year=begun.year + 4)),
            "file": file.shape(),
            "status": "valid",
            "revokedAt": None,
            **_dates(at),
        }
        holdings.append(Holding(shape=shape, files=(file,)))
    return holdings


def _certificate(recipe: str) -> bytes:
    """Something of a certificate's outline: a sequence, of noise."""
    body = noise(recipe, 900).encode()[:1024]
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


# -- registers -----------------------------------------------------------------------------------------------------


def _rpc_count(made: _Maker) -> int:
    return records_in(made.entity.id, "rpc", "ever", seed=made.seed)


def _rpc_at(place: int) -> datetime:
    return FROM_THE_START + timedelta(minutes=1, seconds=place)


def _acto(made: _Maker, place: int, part: int) -> tuple[Shape, StoredFile]:
    at = _rpc_at(place)
    row_id = made.id(place, at, kind="rpc_acto", part=part)
    file = made.file(
        *(place, at, 1),
        type="rpc_acto.document",
        resource=f"/rpc/actos/{row_id}",
        read=made.page("Registro Público de Comercio", f"Acto {part + 1}"),
        name=f"{row_id}.pdf",
        part=part,
        kind="rpc_acto",
    )
    shape = {
        "id": row_id,
        "formaPrecodificada": "M4 - Constitución de sociedad" if part == 0 else "M2 - Acta de asamblea",
        "acto": "Constitución" if part == 0 else "Asamblea",
        "nci": str(202400000000 + place * 10 + part),
        "fechaDeIngreso": "2017-01-01T18:00:00.000Z",
        "fechaDeInscripcion": "2017-01-09T18:00:00.000Z",
        "numeroDeDocumento": str(1000 + part),
        "modalidad": "Registro",
        "data": {"libro": "1"},
        "file": file.shape(),
        **_dates(at),
    }
    return shape, file


def _socio(made: _Maker, place: int, part: int) -> Shape:
    who = staff(made.seed, made.entity.id, place * 2 + part)
    first, father, mother = who.name.split()
    at = _rpc_at(place)
    return {
        "id": made.id(place, at, kind="rpc_socio", part=part),
        "estatus": "Activo",
        "nacionalidad": "Mexicana",
        "nombre": first,
        "apellidoPaterno": father,
        "apellidoMaterno": mother,
        "rfc": who.rfc,
        "curp": None,
        "serie": "A",
        "fechaDeConstitucion": "04/05/2016",
        "fechaDeNacimiento": None,
        "acciones": "500",
        "total": "50000.0",
        "valor": "100.0",
        **_dates(at),
    }


def _entidad_profile(made: _Maker, place: int) -> Shape:
    at = _rpc_at(place)
    row_id = made.id(place, at, kind="rpc_entidad")
    mine = place == 0 and not made.is_person
    name = made.entity.name if mine else party(made.seed, made.entity.id, 100 + place).name
    return {
        "@id": f"/datasources/mx/rpc/entidades/{row_id}",
        "@type": "RpcEntidade",
        "id": row_id,
        "fme": f"N-{2000000000 + place}",
        "nombreRazonSocial": name.upper(),
    }


def _entidades(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(_rpc_count(made)):
        mine = place == 0 and not made.is_person
        shape = {
            **_entidad_profile(made, place),
            "objetoSocial": "a) La operación, administración y comercialización de bienes",
            "duracionDeLaSociedad": "INDEFINIDA",
            "domicilioSocial": "Ciudad de México",
            "nacionalidad": "Mexicana",
            "estatusFme": "Abierto",
            # The register seldom tells it.
            "rfc": made.rfc if mine else None,
            "tipoDePersona": "Moral",
            "antecedenteRegistral": None,
            "regimenJuridico": "Sociedad Anónima",
            "giro": None,
            "entidadFederativa": "Ciudad de México",
            "municipio": "Cuauhtémoc",
            "oficinaRegistral": "Ciudad de México",
            "fechaDeInscripcion": "2017-01-09T18:00:00.000Z",
            "curp": None,
            "lookupBy": "entity" if mine else "shareholder",
            "actos": [_acto(made, place, part)[0] for part in range(2)],
            "socios": [_socio(made, place, part) for part in range(2)],
            **_dates(_rpc_at(place)),
        }
        holdings.append(Holding(shape=shape))
    return holdings


def _actos(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(_rpc_count(made)):
        mine = place == 0 and not made.is_person
        for part in range(2):
            shape, file = _acto(made, place, part)
            shape = {"@id": f"/rpc/actos/{shape['id']}", "@type": "RpcActo", **shape}
            # Only to be found by.
            data = {"lookupBy": "entity" if mine else "shareholder"}
            holdings.append(Holding(shape=shape, files=(file,), data=data))
    return holdings


def _socios(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(_rpc_count(made)):
        for part in range(2):
            shape = _socio(made, place, part)
            told = {"@id": f"/datasources/rpc/socios/{shape['id']}", "@type": "RpcSocio"}
            holdings.append(Holding(shape={**told, **shape, "rpcEntidade": _entidad_profile(made, place)}))
    return holdings


def _rug_at(place: int) -> datetime:
    return FROM_THE_START + timedelta(minutes=2, seconds=place)


def _operacion(made: _Maker, place: int, part: int) -> tuple[Shape, StoredFile]:
    at = _rug_at(place)
    row_id = made.id(place, at, kind="rug_operacion", part=part)
    iri = f"/datasources/rug/operaciones/{row_id}"
    file = made.file(
        *(place, at, 1),
        type="rug_operacion.boleta",
        resource=iri,
        read=made.page("Registro Único de Garantías Mobiliarias", f"Asiento {12345670 + place * 2 + part}"),
        name=f"{row_id}.pdf",
        part=part,
        kind="rug_operacion",
    )
    shape = {
        "@id": iri,
        "@type": "RugOperacion",
        "id": row_id,
        "numeroDeAsiento": 12345670 + place * 2 + part,
        "tipo": "inscripcion" if part == 0 else "modificacion",
        "fecha": f"2023-0{3 + part}-11T06:18:32.000Z",
        "file": f"/files/{file.id}",
        **_dates(at),
    }
    return shape, file


def _rug_count(made: _Maker) -> int:
    return records_in(made.entity.id, "rug", "ever", seed=made.seed)


def _garantias(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(_rug_count(made)):
        shape = {
            **made.head("/datasources/rug/garantias", "RugGarantia", place, _rug_at(place)),
            "numeroDeGarantia": 123450 + place,
            "fechaDeInscripcion": "2023-03-11T06:18:32.000Z",
            "fechaDeCancelacion": None,
            "otorgantes": [{"nombre": made.entity.name, "folioElectronico": "34011*7"}],
            "acreedor": "Grupo Financiero Acreedor, S.A.P.I. de C.V., SOFOM E.N.R.",
            "tipoDeGarantia": "factoraje_financiero",
            "monto": 12345.67 * (place + 1),
            "moneda": "peso_mexicano",
            "tipoDeLosBienes": ["derechos_incluyendo_derechos_de_cobro"],
            "descripcionDeLosBienes": "Derechos de cobro",
            "fechaDeCelebracionDelActoOContrato": "2023-03-08T00:00:00.000Z",
            "fechaDeTerminacionDelActoOContrato": "2025-03-08T00:00:00.000Z",
            "operaciones": [_operacion(made, place, part)[0] for part in range(2)],
            **_dates(_rug_at(place)),
        }
        holdings.append(Holding(shape=shape))
    return holdings


def _operaciones(made: _Maker, _: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place in range(_rug_count(made)):
        for part in range(2):
            shape, file = _operacion(made, place, part)
            more = {
                "numeroDeGarantia": 123450 + place,
                "otorgantes": [{"nombre": made.entity.name, "folio_electronico": "34011*7"}],
                "boleta": {"datos_del_asiento": {"vigencia": "12 meses"}},
            }
            holdings.append(Holding(shape={**shape, **more}, files=(file,)))
    return holdings


# -- reports -------------------------------------------------------------------------------------------------------


def _buro(made: _Maker, asked: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place, one in enumerate(asked):
        row_id = made.id(place, one.at)
        allowed = ("007", "004") if made.is_person else ("INFORME_BURO", "RCO")
        told = one.options.get("productType")
        roll = made.roll(place)
        file = made.file(
            *(place, one.at, 1),
            type="buro_de_credito_report.pdf",
            resource=f"/datasources/mx/buro-de-credito/reports/{row_id}",
            read=made.page("Reporte de crédito", instant(one.at)),
            name=f"{row_id}.pdf",
        )
        shape = {
            "@id": f"/datasources/mx/buro-de-credito/reports/{row_id}",
            "@type": "BuroDeCreditoReport",
            "id": row_id,
            "link": f"/entities/{made.entity.id}",
            "provider": "buro_de_credito",
            "productType": told if told in allowed else allowed[0],
            "reportId": f"{roll.randrange(10**6):06d}",
            "data": {"respuesta": {"persona": {"encabezado": {"claveRetorno": "1"}}}},
            "score": f"{roll.randrange(400, 800):04d}",
            "files": [file.shape()],
            **_dates(one.at),
        }
        holdings.append(Holding(shape=shape, files=(file,)))
    return holdings


def _bil(made: _Maker, asked: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place, one in enumerate(asked):
        head = made.head("/datasources/bil/reports", "BilReport", place, one.at)
        folio = f"ENG{10387 + made.roll(0).randrange(1000)}-{place + 1:03d}"
        content = '<?xml version="1.0" encoding="UTF-8"?>\n' + element(
            "Reporte", {"Folio": folio, "Investigado": made.entity.name.upper()}
        )
        files = (
            made.file(
                *(place, one.at, 1),
                type="bil_report.xml",
                resource=head["@id"],
                read=content.encode,
                name=f"{folio}.xml",
                media_type="text/xml",
            ),
            made.file(
                *(place, one.at, 2),
                type="bil_report.pdf",
                resource=head["@id"],
                read=made.page("Reporte BIL", folio),
                name=f"{folio}.pdf",
            ),
        )
        shape = {
            **head,
            "fecha": instant(one.at),
            "investigado": made.entity.name.upper(),
            "folio": folio,
            "gradoMaximo": 1,
            "data": {"hallazgos": []},
            "xmlFile": files[0].shape(),
            "pdfFile": files[1].shape(),
            **_dates(one.at),
        }
        holdings.append(Holding(shape=shape, files=files))
    return holdings


def _background(made: _Maker, asked: Sequence[Asked]) -> list[Holding]:
    holdings = []
    for place, one in enumerate(asked):
        head = made.head("/background-checks", "BackgroundCheck", place, one.at)
        country = "ALL" if one.options.get("country") == "ALL" else "MX"

        def part(number: int, place: int = place, at: datetime = one.at) -> str:
            return made.id(place, at, kind="part", part=number)

        database = {"id": part(1), "name": "Mexico Criminal Records Database", "country": country}
        file = made.file(
            *(place, one.at, 1),
            type="background_check.pdf",
            resource=head["@id"],
            read=made.page("Background check", instant(one.at)),
            name=f"{head['id']}.pdf",
        )
        shape = {
            **head,
            "link": f"/entities/{made.entity.id}",
            "country": country,
            "score": 92.3,
            "status": "completed",
            "scores": [
                {"id": part(2), "category": "criminal_record", "score": 92.3, "status": "clean", "recordsCount": 1}
            ],
            "databaseStatuses": [
                {"id": part(3), "database": database, "category": "criminal_record", "status": "completed"}
            ],
            "files": [file.shape()],
            **_dates(one.at),
        }
        record_id = made.id(place, one.at, kind="background_record")
        record = {
            "@id": f"{head['@id']}/records/{record_id}",
            "@type": "BackgroundCheckRecord",
            "id": record_id,
            "category": "criminal_record",
            "database": database,
            "sections": [
                {
                    "id": part(4),
                    "title": "Personal Information",
                    "fields": [{"id": part(5), "name": "Full Name", "value": made.entity.name}],
                }
            ],
            "title": "Criminal records",
        }
        holdings.append(Holding(shape=shape, files=(file,), data=record))
    return holdings


_MAKERS: Final[dict[str, Callable[[_Maker, Sequence[Asked]], list[Holding]]]] = {
    "tax_retention": _retentions,
    "tax_return": _returns,
    "tax_status": _statuses,
    "tax_compliance_check": _checks,
    "electronic_accounting_record": _accounting,
    "sat_certificate": _certificates,
    "rpc_entidad": _entidades,
    "rpc_acto": _actos,
    "rpc_socio": _socios,
    "rug_garantia": _garantias,
    "rug_operacion": _operaciones,
    "buro_report": _buro,
    "bil_report": _bil,
    "background_check": _background,
}
