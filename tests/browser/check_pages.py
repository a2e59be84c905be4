"""Looks at akin's pages in a browser: check_pages.py REPORT_PAGES [--shots DIR]. REPORT_PAGES is the program that writes
them (tests/report_pages.cpp). At the widths of a desk and of a phone, light and dark: what checks.js asks, the keyboard,
the console, the network. Then each check is shown a page with a fault and must find it.
Exit code: 0 all is well, 1 it is not, 77 there is no browser (1 where AKIN_NEEDS_BROWSER is set)."""
import json
import os
import subprocess
import sys
import tempfile

import webdriver

HERE = os.path.dirname(os.path.abspath(__file__))
LOOKS = [(1280, 900, False), (1280, 900, True), (390, 844, False), (390, 844, True)]
TAB = "\ue004"
MOST_BYTES = 320_000  # of a page
CHECKS = open(os.path.join(HERE, "checks.js"), encoding="utf-8").read()

# check, what spoils the page (JavaScript, run before the checks)
FAULTS = [
    ("overflow", "document.querySelector('main').insertAdjacentHTML('beforeend', '<div style=\"width:3000px\">wide</div>')"),
    ("overflow", "document.querySelector('table.data').style.minWidth = '1500px'"),
    ("cut", "const s = document.querySelector('h1'); s.style.height = '10px'; s.style.overflow = 'hidden'"),
    ("cut", "document.querySelector('svg.chart text').setAttribute('x', 390)"),
    ("overlap", "for (const t of [...document.querySelectorAll('svg.chart .labels text')].slice(0, 2)) t.setAttribute('y', 90)"),
    ("overlap", "const p = document.querySelector('.lead p'); p.style.position = 'relative'; p.style.top = '40px'"),
    ("contrast", "document.querySelector('.soft').style.color = '#9a9a9a80'"),
    ("contrast", "document.querySelector('svg.strip circle').style.fillOpacity = 0.3"),
    ("contrast", "document.querySelector('.cm td, .map path').style.cssText = 'background:var(--ink);stroke:var(--faint)'"),
    ("headings", "document.querySelector('h2').outerHTML = '<h4>deep</h4>'"),
    ("headings", "document.querySelector('h2').outerHTML = '<h1>again</h1>'"),
    ("names", "document.querySelector('img').alt = ''"),
    ("names", "document.querySelector('svg[role=img] title').remove()"),
    ("names", "document.querySelector('main').insertAdjacentHTML('beforeend', '<button></button>')"),
    ("keyboard", "document.querySelector('summary').tabIndex = -1"),
    ("keyboard", "document.querySelector('main').insertAdjacentHTML('beforeend', '<a href=\"#a\" style=\"outline:none\">bare</a>')"),
    ("console", "console.error('a fault')"),
    ("network", "const i = new Image(); i.src = 'http://127.0.0.1:9/a.png'"),
]


def keyboard(browser):
    """Every control is reached with the tabulator and seen to be."""
    browser.run("document.activeElement.blur(); window.scrollTo(0, 0)")
    count = browser.run("""
      let n = 0;
      for (const e of document.querySelectorAll('a[href], button, summary, input, select, [role=region]')) {
        if (e.getBoundingClientRect().height > 0) e.dataset.control = n++;
      }
      return n;""")
    reached = set()
    problems = []
    for _ in range(count + 1):
        browser.key(TAB)
        at = browser.run("""
          const e = document.activeElement, s = getComputedStyle(e);
          return e === document.body ? null : [e.dataset.control ?? '', e.outerHTML.slice(0, 60),
            s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2];""")
        if at is None:
            break
        if at[0] in reached:
            break
        reached.add(at[0])
        if not at[2]:
            problems.append({"check": "keyboard", "what": f"no outline around {at[1]}"})
    if len(reached) < count:
        problems.append({"check": "keyboard", "what": f"{count} controls, {len(reached)} reached"})
    return problems, count


def problems_of(browser, file, spoil=""):
    """All that is wrong, and how much was looked at."""
    browser.open(file)
    if spoil:
        browser.run(spoil)
    seen = browser.run("return " + CHECKS[CHECKS.index("(() =>"):])
    keys, controls = keyboard(browser)
    problems = seen["problems"] + keys
    for entry in browser.logs("browser"):
        if "http://127.0.0.1:9" not in entry["message"]:  # the planted request is the network's
            problems.append({"check": "console", "what": entry["message"][:160]})
    for entry in browser.logs("performance"):
        if "Network.requestWillBeSent\"" in entry["message"]:
            url = json.loads(entry["message"])["message"]["params"]["request"]["url"]
            if not url.startswith(("file:", "data:")):
                problems.append({"check": "network", "what": url})
    return problems, {"texts": seen["texts"], "marks": seen["marks"], "controls": controls}


def main():
    program, shots = sys.argv[1], sys.argv[sys.argv.index("--shots") + 1] if "--shots" in sys.argv else None
    found = webdriver.find()
    if found is None:
        print("SKIPPED: no browser; apt-get install chromium chromium-driver, so that the pages can be looked at")
        return 1 if os.environ.get("AKIN_NEEDS_BROWSER") else 77
    failures = 0
    browser = webdriver.Browser(*found)
    try:
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([program, folder], check=True)
            pages = sorted(os.listdir(folder))
            for page in pages:
                file = os.path.join(folder, page)
                if os.path.getsize(file) > MOST_BYTES:
                    print(f"{page}: {os.path.getsize(file)} bytes, at most {MOST_BYTES}")
                    failures += 1
                for width, height, dark in LOOKS:
                    browser.look(width, height, dark)
                    problems, seen = problems_of(browser, file)
                    place = f"{page} at {width}{' dark' if dark else ''}"
                    print(f"{place}: {seen['texts']} texts, {seen['marks']} marks, {seen['controls']} controls, {os.path.getsize(file)} bytes")
                    if seen["texts"] < 50 or seen["marks"] < 5:
                        problems.append({"check": "page", "what": "hardly anything is on it"})
                    for problem in problems:
                        print(f"  {problem['check']}: {problem['what']}")
                    failures += len(problems)
                    if shots:
                        os.makedirs(shots, exist_ok=True)
                        browser.open(file)
                        browser.picture(os.path.join(shots, f"{page[:-5]}-{width}{'-dark' if dark else ''}.png"))
            browser.look(*LOOKS[0])
            for check, spoil in FAULTS:
                problems, _ = problems_of(browser, os.path.join(folder, "ten.html"), spoil)
                if not any(p["check"] == check for p in problems):
                    print(f"a planted fault was not found: {check}: {spoil}")
                    failures += 1
            print(f"{len(pages)} pages, {len(FAULTS)} planted faults, {failures} problems")
    finally:
        browser.close()
    return 1 if failures else 0


sys.exit(main())
