dnl SPDX-License-Identifier: BSD-2-Clause

dnl HK_MISSING(what, package): remember it; HK_REPORT_MISSING says it.
AC_DEFUN([HK_MISSING],
[hk_missing="$hk_missing
  $1 not found: apt-get install $2"
hk_packages="$hk_packages $2"])

dnl HK_REQUIRE_HEADER(header, package)
AC_DEFUN([HK_REQUIRE_HEADER],
[AC_CHECK_HEADER([$1], [], [HK_MISSING([$1], [$2])])])

dnl HK_REQUIRE_LIB(VARIABLE, library, function, package)
dnl Sets VARIABLE_LIBS and leaves LIBS alone.
AC_DEFUN([HK_REQUIRE_LIB],
[AC_CHECK_LIB([$2], [$3], [$1_LIBS=-l$2], [HK_MISSING([lib$2], [$4])])
AC_SUBST([$1_LIBS])])

dnl HK_OPTIONAL_GLIB: sets GLIB_CFLAGS and GLIB_LIBS (GObject's), or leaves
dnl them empty; only tests use it.
AC_DEFUN([HK_OPTIONAL_GLIB],
[AC_MSG_CHECKING([for GObject])
GLIB_CFLAGS= GLIB_LIBS=
AS_IF([hk_flags=`pkg-config --cflags gobject-2.0 2>/dev/null`],
    [GLIB_CFLAGS="-DHAVE_GOBJECT $hk_flags"
    GLIB_LIBS=`pkg-config --libs gobject-2.0`
    AC_MSG_RESULT([yes])],
    [AC_MSG_RESULT([no])])
AC_SUBST([GLIB_CFLAGS])
AC_SUBST([GLIB_LIBS])])

dnl HK_JEMALLOC_PIC: the archive that becomes the agent's private jemalloc.
AC_DEFUN([HK_JEMALLOC_PIC],
[AC_ARG_WITH([jemalloc-pic],
    [AS_HELP_STRING([--with-jemalloc-pic=FILE],
        [the libjemalloc_pic.a to use])],
    [JEMALLOC_PIC=$withval],
    [JEMALLOC_PIC=`$CC $CFLAGS -print-file-name=libjemalloc_pic.a`])
AC_MSG_CHECKING([for libjemalloc_pic.a])
AS_IF([test -f "$JEMALLOC_PIC"],
    [AC_MSG_RESULT([$JEMALLOC_PIC])],
    [AC_MSG_RESULT([no])
    HK_MISSING([libjemalloc_pic.a], [libjemalloc-dev])])
AC_SUBST([JEMALLOC_PIC])])

dnl HK_TARGET: what the agent is written for.
AC_DEFUN([HK_TARGET],
[AC_CANONICAL_HOST
AS_CASE([$host],
    [x86_64-*-linux-gnu*|aarch64-*-linux-gnu*], [],
    [AC_MSG_ERROR([heapknot runs on x86-64 and aarch64 Linux with glibc, not on $host])])])

dnl HK_WARNINGS: sets WARN_CFLAGS; --enable-werror for developers.
AC_DEFUN([HK_WARNINGS],
[WARN_CFLAGS="-Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes"
AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make warnings errors])],
    [AS_IF([test "x$enableval" = xyes],
        [WARN_CFLAGS="$WARN_CFLAGS -Werror"])])
AC_SUBST([WARN_CFLAGS])])

dnl HK_REPORT_MISSING: one message for all.
AC_DEFUN([HK_REPORT_MISSING],
[AS_IF([test -n "$hk_missing"],
    [AC_MSG_ERROR([something is missing:$hk_missing
Everything at once (as root): apt-get install$hk_packages
tools/install-deps does it for you.])])])
