#![doc = "k8s-upgrade"]
