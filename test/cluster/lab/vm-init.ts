export type VmNode = { readonly name: string; readonly address: string; readonly gateway: string };

/** Modules for the network of pods and the runtime; what is built in is no error. */
const modules =
  'virtio_net virtio_rng overlay veth bridge br_netfilter macvlan nf_tables nft_compat nf_conntrack nft_chain_nat';

/** The label and the taint of the emulated node: pods come here only when they ask for it and tolerate it. */
export const vmLabel = 'connectionbudget.test/vm';

/** The first process: mounts, network, containerd with the limits of a common node (1024 : 524288), kubelet. */
export function initScript(node: VmNode): string {
  return `#!/bin/sh
export PATH=/usr/local/bin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t tmpfs tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount --make-rshared /
for module in ${modules}; do modprobe $module 2>/dev/null; done
hostname ${node.name}
ip link set lo up
ip address add ${node.address}/30 dev eth0
ip link set eth0 up
ip route add default via ${node.gateway}
echo 1 > /proc/sys/net/ipv4/ip_forward
# As systemd does from 240 on. By itself the kernel allows a tenth of its memory's KiB: 200,000 files here.
echo 9223372036854775807 > /proc/sys/fs/file-max
mkdir -p /etc/containerd /run/nri
printf "version = 4\\n[plugins.'io.containerd.cri.v1.runtime']\\n  disable_apparmor = true\\n" > /etc/containerd/config.toml
( ulimit -Hn 524288; ulimit -Sn 1024; exec containerd ) > /var/log/containerd.log 2>&1 &
until ctr version > /dev/null 2>&1; do sleep 0.2; done
add() { ctr -n k8s.io images import --label io.cri-containerd.image=managed $1; }
add /images/pause.tar
kubelet --config=/etc/node/kubelet.json --kubeconfig=/etc/node/kubeconfig --hostname-override=${node.name} \\
  --node-ip=${node.address} --node-labels=${vmLabel}=true --v=2 > /dev/console 2>&1 &
for image in /images/*.tar; do [ $image = /images/pause.tar ] || add $image; done
echo "images imported"
while :; do sleep 5; done
`;
}

/** What finds the disk: the modules for it, then the switch to it. */
export const initialRamScript = `#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
  [ -f /$module.ko ] && /bin/busybox insmod /$module.ko
done
until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done
/bin/busybox mount -t ext4 /dev/vda /mnt && exec /bin/busybox switch_root /mnt /sbin/init
echo "no root file system"
exec /bin/busybox sh
`;
