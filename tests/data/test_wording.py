"""Class names come in the singular and in the plural; both have one plural."""

import pytest

from mgimm_plugin.data.prepare.naming import counted
from mgimm_plugin.data.wording import plural, singular
from mgimm_plugin.evaluate.objects import NamedCategories


@pytest.mark.parametrize(
    ("one", "several"),
    [
        ("ship", "ships"),
        ("factory", "factories"),
        ("highway", "highways"),
        ("box", "boxes"),
        ("bench", "benches"),
        ("bus", "buses"),
        ("gas", "gases"),
        ("grass", "grasses"),
        ("overpass", "overpasses"),
        ("tennis", "tennises"),
        ("campus", "campuses"),
        ("service area", "service areas"),
        ("silo", "silos"),
        ("woman", "women"),
        ("aircraft", "aircraft"),
    ],
)
def test_the_plural_of_a_plural_is_itself(one, several):
    assert plural(one) == several
    assert plural(several) == several


@pytest.mark.parametrize(
    ("several", "one"),
    [
        ("cars", "car"),
        ("solar panels", "solar panel"),
        ("people", "person"),
        ("women", "woman"),
        ("factories", "factory"),
        ("ties", "tie"),
        ("trees", "tree"),
        ("houses", "house"),
        ("buses", "bus"),
        ("boxes", "box"),
        ("benches", "bench"),
        ("bushes", "bush"),
        ("bridges", "bridge"),
        ("gases", "gas"),
        ("overpasses", "overpass"),
        ("silos", "silo"),
        ("aircraft", "aircraft"),
        ("crossroads", "crossroads"),
        ("GPS", "GPS"),
        ("avalanches", "avalanche"),
        ("wharves", "wharf"),
        ("woods", "woods"),
    ],
)
def test_the_singular_of_a_singular_is_itself(several, one):
    assert singular(several) == one
    assert singular(one) == one


def test_classes_named_in_the_plural_are_counted_and_recognized():
    assert counted(3, "small buildings") == "three small buildings"
    assert NamedCategories.of(["ships", "glass"]).mentions("Two ships, and glasses.") == ["ships", "glass"]
    assert NamedCategories.of(["people", "cars"]).mentions("One person and a car.") == ["people", "cars"]
