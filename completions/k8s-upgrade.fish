# Completions of k8s-upgrade for fish: the program itself is asked, which knows the cluster, too.

function __k8s_upgrade_offers
    set -l typed (commandline -opc)
    set -l begun (commandline -ct)
    for offer in ($typed[1] complete -- $typed[2..-1] "$begun" 2>/dev/null)
        if test "$offer" = :files
            __fish_complete_path "$begun"
        else
            echo $offer
        end
    end
end

complete -c k8s-upgrade -f -a '(__k8s_upgrade_offers)'
