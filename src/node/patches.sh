# FOLDER: the files in it that `kubeadm upgrade --patches=FOLDER` reads, whole; of a folder that is not there, none.
folder=$root$1
for file in "$folder"/*; do
    name=${file##*/}
    if [[ -f $file && $name =~ ^(kube-apiserver|kube-controller-manager|kube-scheduler|etcd|kubeletconfiguration|corednsdeployment)[A-Za-z0-9._+-]*\.(json|yaml)$ ]]; then
        echo "patch $name"
        sed 's/^/text /' "$file"
        echo
    fi
done
