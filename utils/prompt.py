"""The interactive prompt: a name in, class, decision and reasons out; commands start with a colon.

Lines can be edited and recalled within a session. They are not kept for the next one: the names that an
analyst asks about are nobody else's business.
"""

import contextlib
from typing import TextIO

from utils.prediction import refused
from utils.prompt_commands import Session, run_command
from utils.prompt_rendering import render
from utils.terminal_style import Style

WELCOME = """\
Type a domain name, a URL or a defanged name (hxxps://evil[.]example); several
may stand on one line. :help lists the commands. Up and down recall lines of
this session. Leave with :quit or Ctrl-D."""
# What other programs take for a command, and what it is called here: no domain name lacks a dot.
HABITS = {"exit": ":quit", "quit": ":quit", "q": ":quit", "help": ":help", "?": ":help"}


def run_prompt(session: Session, output: TextIO) -> None:
    """Ask for names until the input ends (Ctrl-D) or :quit; Ctrl-C raises KeyboardInterrupt as ever.

    Parameters
    ----------
    session
        What answers.
    output
        Where answers are written. Names in it are normalised, so no terminal escape can pass.
    """
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401 - gives input() line editing and history
    style = Style(output)
    output.write(WELCOME + "\n")
    while True:
        output.flush()
        try:
            line = input("\ndomain> ").strip()
        except EOFError:
            output.write("\n")
            return
        except UnicodeDecodeError as error:
            output.write(_undecodable(error, style) + "\n")
            continue
        line = HABITS.get(line.lower(), line)
        if line.startswith(":"):
            shown = run_command(line, session, style)
            if shown is None:
                return
            output.write(style.showable(shown) + "\n")
            continue
        for text in session.names_in(line):
            output.write(style.showable(render(session.answer(text), style)) + "\n")
            output.flush()  # a name answered is a name shown, while the next one is explained


def _undecodable(error: UnicodeDecodeError, style: Style) -> str:
    message = f"not_text: the line is not in the terminal's {error.encoding}"
    return style.showable(render(refused(None, message), style))
