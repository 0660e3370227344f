"""The parser: what it refuses before anything looks at a document, and that it refuses nothing else."""

from __future__ import annotations

import pytest

from headstay import xml
from headstay.xml import MOST_ATTRIBUTES, MOST_IN_SCOPE, MOST_NODES, XmlError


def refused(octets: bytes, most_elements: int = MOST_NODES) -> str:
    with pytest.raises(XmlError) as caught:
        xml.parse(octets, most_elements)
    return str(caught.value)


@pytest.mark.parametrize(
    "prologue",
    [
        b"",
        b"\xef\xbb\xbf",
        b'<?xml version="1.0"?>',
        b'<?xml version="1.0" encoding="UTF-8"?>',
        b"\xef\xbb\xbf<?xml version='1.0' encoding = 'utf-8' standalone='yes'?>\n",
        b'<?xml version="1.0"\n encoding="Utf-8"?>',
    ],
)
def test_utf_8_however_it_is_declared(prologue: bytes) -> None:
    assert xml.parse(prologue + "<a>é</a>".encode()).text == "é"


@pytest.mark.parametrize("encoding", ["utf-16", "iso-8859-1", "US-ASCII", "windows-1252", "UTF-7", ""])
def test_another_declared_encoding_is_refused(encoding: str) -> None:
    for declaration in (
        f'<?xml version="1.0" encoding="{encoding}"?>',
        f"<?xml version='1.0'\nencoding = '{encoding}'?>",
    ):
        assert "only UTF-8 is accepted" in refused(f"{declaration}<a>x</a>".encode())


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize(
    "text", ["<a/>", "<!DOCTYPE a><a/>", '<?xml version="1.0" encoding="UTF-16"?><a/>', "\ufeff<a/>"]
)
def test_utf_16_and_utf_32_are_refused(codec: str, text: str) -> None:
    assert "only UTF-8 is accepted" in refused(text.encode(codec))


def test_octets_that_are_no_utf_8_are_refused() -> None:
    assert "not well-formed" in refused(b"<a>\xe9</a>")
    assert "not well-formed" in refused("<a/>".encode("cp037"))


def test_a_document_type_is_refused() -> None:
    assert "document type" in refused(b"<!DOCTYPE a><a/>")


ENTITIES = b"".join(b"<!ENTITY e%d '%b'>" % (n, b"&e%d;" % (n - 1) * 10) for n in range(1, 10))


@pytest.mark.parametrize(
    "document",
    [
        b"<!DOCTYPE a [<!ENTITY e0 'ha'>" + ENTITIES + b"]><a>&e9;</a>",
        b"<!DOCTYPE a [<!ENTITY b SYSTEM 'file:///etc/passwd'>]><a>&b;</a>",
        b"<!DOCTYPE a SYSTEM 'http://192.0.2.1/a.dtd'><a/>",
        b"<?xml version='1.0'?><!-- --><!DOCTYPE a [<!ATTLIST a b CDATA 'c'>]><a/>",
    ],
    ids=["a billion laughs", "a file", "a DTD from the network", "a default attribute"],
)
def test_what_a_document_type_could_do_is_refused(document: bytes) -> None:
    assert "document type" in refused(document)


def test_an_entity_that_is_not_declared_is_refused() -> None:
    assert "not well-formed" in refused(b"<a>&b;</a>")
    assert xml.parse(b"<a>&lt;&#233;</a>").text == "<é"


def test_depth() -> None:
    xml.parse(b"<a>" * 256 + b"</a>" * 256)
    assert "not well-formed" in refused(b"<a>" * 257 + b"</a>" * 257)


def test_a_text_of_ten_million_octets() -> None:
    assert "not well-formed" in refused(b"<a>" + b"x" * 10_000_001 + b"</a>")
    assert "not well-formed" in refused(b"<a b='" + b"x" * 10_000_001 + b"'/>")
    assert "not well-formed" in refused(b"<a><![CDATA[" + b"x" * 10_000_001 + b"]]></a>")


def test_a_long_name_is_refused_and_not_repeated() -> None:
    assert len(refused(b"<" + b"x" * 100_000 + b"/>")) < 300


def test_elements() -> None:
    assert len(xml.parse(b"<a>" + b"<b/>" * 9 + b"</a>", most_elements=10)) == 9
    assert "more than 10 elements" in refused(b"<a>" + b"<b/>" * 10 + b"</a>", 10)


def test_cdata_is_text() -> None:
    assert xml.parse(b"<a>b<![CDATA[<c>&d;]]>e</a>").text == "b<c>&d;e"


def test_comments_and_processing_instructions_leave_no_trace() -> None:
    """Also where an operation's name or a value is looked for, and where they look like something that is refused."""
    root = xml.parse(b"<!-- a --><?b c?><a><!-- <d> --><?e?>f<!-- <!D -->g<?h?><i/><!-- j -->k</a><?l?>")
    assert (root.text, len(root), root[0].tail) == ("fg", 1, "k")
    assert xml.serialise(root) == b"<a>fg<i/>k</a>"


def test_a_comment_within_a_name_is_not_well_formed() -> None:
    for document in (b"<a<!-- -->b/>", b"<a b<!-- -->='c'/>", b"<a b='<!-- -->'/>", b"<<?x?>a/>"):
        assert "not well-formed" in refused(document)


def with_attributes(number: int) -> bytes:
    return b"<a><b %b/></a>" % b" ".join(b'a%d="x"' % n for n in range(number))


def test_attributes_of_one_element() -> None:
    assert len(xml.parse(with_attributes(MOST_ATTRIBUTES))[0].attrib) == MOST_ATTRIBUTES
    assert "64 attributes" in refused(with_attributes(MOST_ATTRIBUTES + 1))
    assert "64 attributes" in refused(with_attributes(20_000))


def test_attributes_of_many_elements_are_no_matter() -> None:
    assert len(xml.parse(b"<a>" + b'<b c="1" d="2"/>' * 1000 + b"</a>")) == 1000


def test_declarations_on_one_element() -> None:
    declared = [b'xmlns:p%d="urn:p"' % n for n in range(MOST_IN_SCOPE + 1)]
    assert len(xml.parse(b"<a %b/>" % b" ".join(declared[1:])).nsmap) == MOST_IN_SCOPE
    assert "128 namespace declarations" in refused(b"<a %b/>" % b" ".join(declared))


def test_declarations_repeated_inwards_count_each_time() -> None:
    xml.parse(b'<a xmlns="urn:a">' * MOST_IN_SCOPE + b"</a>" * MOST_IN_SCOPE)
    assert "in scope" in refused(b'<a xmlns="urn:a">' * (MOST_IN_SCOPE + 1) + b"</a>" * (MOST_IN_SCOPE + 1))


@pytest.mark.parametrize("prologue", [b"", b'\xef\xbb\xbf<?xml version="1.0" encoding="UTF-8"?>\n'])
def test_declarations_side_by_side_do_not_add_up(prologue: bytes) -> None:
    assert len(xml.parse(prologue + b"<a>" + b'<b xmlns="urn:b" xmlns:c="urn:c"/>' * 1000 + b"</a>")) == 1000


def test_what_is_wrong_is_told_without_python_s_name_for_it() -> None:
    with pytest.raises(XmlError, match=r"^not well-formed XML: .* \(line 1\)$"):
        xml.parse(b"<data")
