#!/bin/sh
# Installs what the page factory draws with: Chromium, LaTeX, fonts, word lists, photographs. All of it is free software or
# free content out of Debian 12 (licences: /usr/share/doc/<package>/copyright). Run as root, once per machine.
set -eu

browser="chromium procps"

serif="fonts-liberation fonts-texgyre fonts-ebgaramond fonts-linuxlibertine fonts-crosextra-caladea fonts-vollkorn
  fonts-cmu fonts-lmodern fonts-sil-gentium-basic fonts-sil-charis fonts-gfs-didot fonts-gfs-artemisia fonts-junicode
  fonts-adf-accanthis fonts-adf-baskervald fonts-adf-romande fonts-oldstandard fonts-urw-base35 fonts-roboto-slab
  fonts-averia-serif-gwf fonts-prociono fonts-stix fonts-freefont-ttf"
sans="fonts-dejavu-core fonts-dejavu-extra fonts-lato fonts-roboto-unhinted fonts-open-sans fonts-crosextra-carlito
  fonts-gfs-neohellenic fonts-cantarell fonts-quicksand fonts-league-spartan fonts-cabin fonts-yanone-kaffeesatz
  fonts-adf-gillius fonts-adf-universalis fonts-adf-libris fonts-opendin fonts-inter fonts-karla fonts-clear-sans
  fonts-paratype fonts-sil-andika fonts-play fonts-jura fonts-tuffy fonts-noto-core fonts-comic-neue fonts-croscore"
mono="fonts-inconsolata fonts-firacode fonts-courier-prime fonts-hack fonts-jetbrains-mono fonts-mononoki"
other="fonts-dancingscript fonts-lobster fonts-rufscript fonts-texgyre-math fonts-noto-cjk fonts-hosny-amiri
  fonts-lohit-deva"

words="hunspell-pl hunspell-en-us hunspell-en-gb hunspell-de-de hunspell-fr hunspell-es hunspell-it hunspell-cs
  hunspell-pt-pt hunspell-ru hunspell-uk hunspell-el hunspell-ar hunspell-he hunspell-hi hunspell-tr hunspell-sv
  hunspell-hu hunspell-nl"

photographs="mate-backgrounds gnome-backgrounds plasma-workspace-wallpapers lomiri-wallpapers-16.04
  lomiri-wallpapers-20.04 ukui-wallpapers"

latex="texlive-xetex texlive-latex-recommended texlive-fonts-recommended"

apt-get update
# shellcheck disable=SC2086 # the lists are meant to be split into words
DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $browser $serif $sans $mono $other $words $photographs $latex
fc-cache -f
