"""Takes the SQL templates and macros out of pgAdmin's package, and removes it."""
import glob
import os
import re
import zipfile

(wheel,) = glob.glob("pgadmin4-*.whl")
with zipfile.ZipFile(wheel) as package:
    for name in package.namelist():
        if "/templates/" in name and name.endswith((".sql", ".macros", ".macro")):
            package.extract(name)
os.remove(wheel)
with open("version", "w") as file:
    file.write(re.search(r"-([\d.]+)-", wheel)[1])
