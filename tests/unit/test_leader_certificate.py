"""The library that makes a leader's certificate is in no Command Service."""

import grimp

from storelog.command_service.leading import new_certificate


def test_a_command_service_does_not_load_the_library_that_makes_its_certificate() -> None:
    graph = grimp.build_graph("storelog", include_external_packages=True, cache_dir=None)
    app = "storelog.command_service.app"
    # Tokens of an OpenID provider need it, where the settings name one.
    graph.remove_module("storelog.web.tokens")
    assert graph.find_shortest_chain(app, "cryptography") is None
    # Such a chain would be found.
    graph.add_import(importer=app, imported=new_certificate.__name__)
    assert graph.find_shortest_chain(app, "cryptography") is not None
