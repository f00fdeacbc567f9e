"""Reads every export of a document with the tool that it is for: check-exports.py URL-OF-DOCUMENT FOLDER-WITH-page.xsd"""
import contextlib
import csv
import html.parser
import io
import json
import sys
import tempfile
import urllib.request
import zipfile

from lxml import etree
from pycocotools.coco import COCO

document, folder = sys.argv[1:]


def export(format, page=None):
    query = f"?format={format}" + (f"&page={page}" if page else "")
    return urllib.request.urlopen(f"{document}/export{query}").read()


pages = json.load(urllib.request.urlopen(f"{document}/pages"))["pages"]
found = sum(page["detections"] for page in pages)
assert pages and found, "nothing to check"

with tempfile.NamedTemporaryFile() as file, contextlib.redirect_stdout(io.StringIO()):
    file.write(export("coco"))
    file.flush()
    coco = COCO(file.name)
    assert len(coco.anns) == found and len(coco.imgs) == len(pages)
    for annotation in coco.anns.values():
        assert coco.annToMask(annotation).sum() > 0

schema = etree.XMLSchema(etree.parse(f"{folder}/page.xsd"))
with zipfile.ZipFile(io.BytesIO(export("pagexml"))) as archive:
    assert len(archive.namelist()) == len(pages)
    for name in archive.namelist():
        schema.assertValid(etree.fromstring(archive.read(name)))

with zipfile.ZipFile(io.BytesIO(export("labelme"))) as archive:
    shapes = 0
    for name in archive.namelist():
        label_file = json.loads(archive.read(name))
        # What labelme's LabelFile.load takes for granted.
        assert {"version", "flags", "imageData", "imagePath", "imageHeight", "imageWidth"} <= set(label_file)
        for shape in label_file["shapes"]:
            assert shape["shape_type"] == "rectangle" and len(shape["points"]) == 2 and isinstance(shape["label"], str)
            shapes += 1
    assert shapes == found

assert len(list(csv.DictReader(io.StringIO(export("csv").decode())))) == found
assert len([json.loads(line) for line in export("jsonl").splitlines()]) == found


class Hocr(html.parser.HTMLParser):
    classes = []

    def handle_starttag(self, tag, attributes):
        self.classes += [value for name, value in attributes if name == "class"]


hocr = Hocr()
hocr.feed(export("hocr").decode())
assert hocr.classes.count("ocr_page") == len(pages) and len(hocr.classes) == len(pages) + found
print(f"exports: {found} regions on {len(pages)} pages, read by pycocotools, PAGE-XML's schema, labelme's rules, csv, json, html")
