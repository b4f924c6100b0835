# What is built besides the programs: files for a server's extension directory, Debian packages, and static programs.
#   make extension DIR=/usr/share/postgresql/15/extension
#   make deb [OUT=target/deb] [VERSIONS="15 16"] [PROGRAMS=target/release]
#   make static [OUT=target/static/out] [PROFILE=release]

DIR =
OUT = target/deb
VERSIONS = 10 11 12 13 14 15 16 17 18
PROGRAMS = target/release
PROFILE = release

.PHONY: extension deb static

extension:
	@test -n "$(DIR)" || { echo 'usage: make extension DIR=/usr/share/postgresql/15/extension' >&2; exit 2; }
	sh sql/extension.sh "$(DIR)"

deb:
	sh etc/package.sh "$(OUT)" "$(VERSIONS)" "$(PROGRAMS)"

static: OUT = target/static/out
static:
	sh etc/static.sh "$(OUT)" "$(PROFILE)"
