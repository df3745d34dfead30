"""Taxpayers that invoices are exchanged with; none of them exists, and their RFCs are of the right build."""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Final

import attrs

__all__ = ["EVERYBODY", "Party", "party", "staff"]

_NAMES: Final = (
    *("Abarrotes", "Aceros", "Alimentos", "Autopartes", "Bodegas", "Cartones", "Cementos", "Constructora", "Despacho"),
    *("Diseño", "Distribuidora", "Empaques", "Energía", "Ferretería", "Grupo", "Hotelera", "Imprenta", "Logística"),
    *(
        "Maquinados",
        "Muebles",
        "Papelera",
        "Pinturas",
        "Plásticos",
        "Refacciones",
        "Textiles",
        "Transportes",
        "Vidrios",
    ),
)
_PLACES: Final = (
    *("del Bajío", "del Golfo", "de Anáhuac", "de Occidente", "del Norte", "de la Laguna", "del Sureste", "de Puebla"),
    *("de Querétaro", "de Toluca", "Peninsular", "del Pacífico", "de Jalisco", "Metropolitana"),
)
_FIRST: Final = ("Ana", "Beatriz", "Carlos", "Daniela", "Ernesto", "Fernanda", "Gabriel", "Hilda", "Iván", "Julia")
_LAST: Final = (
    "Aguilar",
    "Barrera",
    "Cervantes",
    "Delgado",
    "Estrada",
    "Fuentes",
    "Guzmán",
    "Herrera",
    "Ibarra",
    "Juárez",
)
_ZIPS: Final = ("01210", "06600", "20000", "37000", "44100", "45050", "64000", "72000", "76000", "97000")
#: What a check digit is counted with, in the order of the rule for RFCs.
_DIGITS: Final = "0123456789ABCDEFGHIJKLMN&OPQRSTUVWXYZ Ñ"
_PLAIN: Final = str.maketrans("ÁÉÍÓÚÑÜáéíóúñü", "AEIOUXUAEIOUXU")


@attrs.frozen(kw_only=True)
class Party:
    """Who issues or receives."""

    rfc: str
    name: str
    #: The catalogue's number of the tax regime.
    regime: int
    zip: str

    @property
    def is_person(self) -> bool:
        """A natural person."""
        return len(self.rfc) == 13


#: Who buys without a name.
EVERYBODY: Final = Party(rfc="XAXX010101000", name="PUBLICO EN GENERAL", regime=616, zip="01210")


@lru_cache(maxsize=4096)
def party(seed: int, entity: str, number: int) -> Party:
    """The company that is the *number*-th the *entity* deals with."""
    roll = random.Random(f"{seed} {entity} party {number}")
    name, place = roll.choice(_NAMES), roll.choice(_PLACES)
    form, regime = roll.choice((("SA de CV", 601), ("S de RL de CV", 601), ("SC", 601), ("SAPI de CV", 623)))
    letters = _letters(name)[:2] + _letters(place.split()[-1])[:1]
    return Party(rfc=_rfc(letters, roll), name=f"{name} {place} {form}", regime=regime, zip=roll.choice(_ZIPS))


@lru_cache(maxsize=4096)
def staff(seed: int, entity: str, number: int) -> Party:
    """The person that is the *number*-th the *entity* pays, or is paid by."""
    roll = random.Random(f"{seed} {entity} staff {number}")
    first, father, mother = roll.choice(_FIRST), roll.choice(_LAST), roll.choice(_LAST)
    letters = _letters(father)[:2] + _letters(mother)[:1] + _letters(first)[:1]
    return Party(rfc=_rfc(letters, roll), name=f"{first} {father} {mother}", regime=605, zip=roll.choice(_ZIPS))


def _letters(text: str) -> str:
    return "".join(one for one in text.translate(_PLAIN).upper() if one.isalpha())


def _rfc(letters: str, roll: random.Random) -> str:
    day = f"{roll.randrange(60, 100):02d}{roll.randrange(1, 13):02d}{roll.randrange(1, 29):02d}"
    body = letters + day + roll.choice("ABCDEFGHIJKLMN123456789") + roll.choice("ABCDEFGHIJKLMN123456789")
    weights = range(len(body) + 1 + (len(letters) == 3), 1, -1)
    whole = body if len(letters) == 4 else f" {body}"
    rest = sum(_DIGITS.index(one) * weight for one, weight in zip(whole, weights, strict=False)) % 11
    return body + ("0" if rest == 0 else "A" if rest == 1 else str(11 - rest))
