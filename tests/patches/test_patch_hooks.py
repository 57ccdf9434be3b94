import sys

import mgimm_patches
from mgimm_patches._hooks import before_import, rebind, when_imported


def test_applying_imports_neither_torch_nor_llava(run_python):
    code = (
        "import sys, mgimm_patches; mgimm_patches.apply_all(); mgimm_patches.apply_all();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'llava', 'transformers')))"
    )
    assert run_python(code).returncode == 0


def test_callback_runs_before_others_can_bind_the_old_name(tmp_path, monkeypatch):
    (tmp_path / "hooked_module.py").write_text("value = 1\n")
    (tmp_path / "user_module.py").write_text("from hooked_module import value\n")
    monkeypatch.syspath_prepend(tmp_path)
    when_imported("hooked_module", lambda module: setattr(module, "value", 2))
    import user_module

    assert user_module.value == 2
    assert sys.modules["hooked_module"].__spec__.loader.get_source("hooked_module") == "value = 1\n"


def test_callback_runs_at_once_for_an_imported_module():
    seen = []
    when_imported("json", seen.append)
    assert seen == [sys.modules["json"]]


def test_rebind_reaches_names_bound_by_import(tmp_path, monkeypatch):
    package = tmp_path / "rebind_package"
    package.mkdir()
    (package / "__init__.py").write_text("def answer(): return 1\n")
    (package / "user.py").write_text("from rebind_package import answer\n")
    monkeypatch.syspath_prepend(tmp_path)
    import rebind_package.user

    rebind(rebind_package.answer, lambda: 2, package="rebind_package")
    assert rebind_package.user.answer() == rebind_package.answer() == 2


def test_every_patch_says_why_and_until_when():
    rows = mgimm_patches.status()
    assert len({row.name for row in rows}) == len(rows) > 0
    for row in rows:
        assert all((row.reason, row.obsolete_when, row.target))
        assert not row.state.startswith("failed"), row


def test_early_callback_sees_the_module_before_its_body(tmp_path, monkeypatch):
    (tmp_path / "early_module.py").write_text("import sys\nfound = sys.modules.pop('stand_in_for_early')\n")
    monkeypatch.syspath_prepend(tmp_path)
    before_import("early_module", lambda module: sys.modules.update(stand_in_for_early=module))
    import early_module

    assert early_module.found is early_module
