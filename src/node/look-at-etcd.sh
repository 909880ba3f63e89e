# FOLDER: whether a snapshot of this node's etcd can be taken, and kept in FOLDER. Nothing is written.
folder=$1
etcd_here
etcd_room "$folder"
enter_etcd 30
said=$("${in_etcd[@]}" etcdutl version 2>&1) || refused "etcdutl does not run in etcd's container, whose image has it from etcd 3.5 on: ${said:0:300}"
echo "etcd $etcd_bytes $etcd_data"
