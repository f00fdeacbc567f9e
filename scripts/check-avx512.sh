#!/usr/bin/env bash
# The kernels' tests on AVX-512 where no processor has it: a Linux of Debian's in Bochs, which emulates one, with fewer shapes and without those
# that store past the caches; some minutes. What it installs is Debian's. AMX is not emulated.
set -euo pipefail
cd "$(dirname "$0")/.."
work=target/avx512
if ! command -v bochs >/dev/null || ! command -v grub-mkrescue >/dev/null || ! command -v busybox >/dev/null || [ ! -d /usr/lib/grub/i386-pc ]; then
  sudo=$([ "$(id -u)" = 0 ] || echo sudo)
  $sudo apt-get update
  $sudo apt-get install -y --no-install-recommends \
    bochs bochs-term bochsbios vgabios grub-common grub-pc-bin xorriso mtools cpio busybox-static
fi
scripts/kernels-crate.sh $work/crate
tests=$(cargo test --release --manifest-path $work/crate/Cargo.toml --target-dir $work/target --test kernels --no-run 2>&1 |
  tee /dev/stderr | sed -n 's/^ *Executable .*(\(.*\))$/\1/p' | xargs realpath)
cd $work
rm -rf image iso
mkdir -p image/{bin,dev,proc} iso/boot/grub

# The kernel. Bochs counts the state that XSAVES saves otherwise than Linux does, which then would use no AVX at all.
if ! ls kernel/boot/vmlinuz-* >/dev/null 2>&1; then
  apt-get download "$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: //p' | head -1)"
  dpkg -x linux-image-*.deb kernel
fi
cp kernel/boot/vmlinuz-* iso/boot/vmlinuz
cat >iso/boot/grub/grub.cfg <<'GRUB'
set timeout=0
menuentry tests {
  linux /boot/vmlinuz console=ttyS0 noxsaves clearcpuid=xsavec,xsaves nopku mitigations=off quiet
  initrd /boot/initrd
}
GRUB

# The tests, what they link to, and a first process that runs them.
cp "$tests" image/kernels
cp "$(command -v busybox)" image/bin/
ldd "$tests" | grep -o '/[^ ]*' | while read -r library; do install -D "$library" "image$library"; done
cat >image/init <<'INIT'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t devtmpfs dev /dev
export ONLY=avx512 FEWER=16
/kernels --test-threads 1 --skip large_maps
echo "The tests ended with $?."
/bin/busybox sleep 3
/bin/busybox poweroff -f
INIT
chmod +x image/init
(cd image && find . | cpio -o -H newc --quiet | gzip -1) >iso/boot/initrd
grub-mkrescue -o tests.iso iso 2>/dev/null

cat >bochsrc <<'BOCHS'
megs: 1024
cpu: model=corei7_skylake_x, ips=100000000
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path=tests.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=console.log
display_library: term
log: bochs.log
panic: action=fatal
error: action=ignore
BOCHS
# Debian's Bochs has a debugger, which waits to be told to go on, and shows a screen.
echo c >go
rm -f console.log pid
TERM=xterm timeout -s KILL 3000 script -qec 'echo $$ >pid; exec bochs -q -f bochsrc -rc go' /dev/null </dev/null >screen.log 2>&1 &
emulator=$!
touch console.log
tail -f console.log &
shown=$!
trap 'kill -KILL "$(cat pid)" $shown 2>/dev/null || true' EXIT
until grep -aq "^The tests ended" console.log; do
  kill -0 $emulator 2>/dev/null || { echo "Bochs ended; see bochs.log and screen.log in $PWD" >&2; exit 1; }
  sleep 2
done
grep -aq "^The tests ended with 0" console.log
